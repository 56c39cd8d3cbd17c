"""The two-branch network: targets in an entity's own neighborhood by pairs, all others by towers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnscale.batches import (
    BatchBuilder,
    Examples,
    PairBatch,
    PairSource,
    ReceptiveField,
    SplitExamples,
    TargetBatch,
    check_reach,
    group_places,
    link_sampling,
    read_around,
)
from gnnscale.config import Settings
from gnnscale.lake import Lake
from gnnscale.nn import ProcessGroup, Scores, TwoBranchModel, build_model
from gnnscale.query import PredictiveQuery
from gnnscale.sampling import plan_paths
from gnnscale.schema import NEGATIVES, NETWORKS, GraphManifest
from gnnscale.training.networks.network import LinkNetwork
from gnnscale.training.predictors.link_predictor import LinkPredictor, ScoredEntities


class TwoBranchPredictor(LinkPredictor):
    """The network of :class:`gnnscale.nn.TwoBranchModel`.

    Args:
        model: in evaluation mode.
        source: of its batches.
        device: of the model.
    """

    def __init__(self, model: TwoBranchModel, source: PairSource, device: torch.device) -> None:
        super().__init__(device)
        self.model, self.source = model, source

    def target_batch(self, nodes: NDArray[np.int64], anchor: int) -> TargetBatch:
        """Some targets with their latest events."""
        return self.source.builder.build_targets(nodes, anchor)

    def entity_batch(self, nodes: NDArray[np.int64], anchor: int) -> PairBatch:
        """Some entities with their neighborhoods and the targets in them."""
        return self.source.around(nodes, np.full(len(nodes), anchor, np.int32))

    def target_vectors(self, batch: TargetBatch) -> Tensor:
        """Tower vectors."""
        return self.model.encode_targets(batch)

    def entity_scores(self, batch: PairBatch) -> ScoredEntities:
        """Tower vectors, and scores of the targets in each entity's neighborhood."""
        scores = self.model(batch)
        return ScoredEntities(scores.entity, batch.example, batch.candidate_node, scores.local)


@NETWORKS.register("two_branch")
class TwoBranchNetwork(LinkNetwork):
    """:class:`gnnscale.nn.TwoBranchModel` over batches of one anchor; see :class:`LinkNetwork`."""

    automatic = True
    outputs = Scores
    uses: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "sampling.strategy": ("last", "uniform", "weighted"),
        "training.source": ("memory",),
        "training.negative_strategy": (),
        "training.rank_depth": (),
        "training.sampler": ("auto", "cpu"),
        "training.feature_type": ("fp32",),
        "training.cuda_graphs": (False,),
        "embedding.method": ("sampled",),
    }
    ignores = ("model.latest",)

    @classmethod
    def choices(cls, key: str) -> tuple[Any, ...] | None:
        """As in :meth:`Network.choices`; of negatives, those that a whole batch shares: it scores them once."""
        if key != "training.negative_strategy":
            return super().choices(key)
        found = {name: NEGATIVES.find(name) for name in NEGATIVES.names()}
        # It has no use for walks.
        shared = [name for name, strategy in found.items() if strategy.per_batch and not strategy.needs_walks]
        return tuple(sorted(shared, key=lambda name: (name != "shared", name)))

    @cached_property
    def builder(self) -> BatchBuilder:
        """Of its batches.

        Raises:
            ConfigError: the fan-outs do not reach the query's events and targets.
        """
        settings = self.settings
        model = settings.model
        limits = model.group_columns, settings.seed, model.max_target_neighbors
        return BatchBuilder(self.store, self.query, settings.sampling, *limits)

    @classmethod
    def check_graph(cls, settings: Settings, manifest: GraphManifest, query: PredictiveQuery) -> None:
        """Refuse fan-outs, and columns that group candidates, that don't fit; see :meth:`Network.check_graph`."""
        super().check_graph(settings, manifest, query)
        sampling = link_sampling(query, settings.sampling)
        check_reach(query, sampling)
        for table, hops in ((query.entity.name, sampling.entity_hops), (query.target.name, sampling.target_hops)):
            plan_paths(manifest, table, hops)
        group_places(manifest.table(query.target.name), settings.model.group_columns)

    def link_source(self, lake: Lake, examples: SplitExamples[Examples], device: torch.device | None) -> PairSource:
        """Neighborhoods of the examples."""
        size, seed = self.settings.training.batch_size, self.settings.seed
        return PairSource(self.builder, examples.examples, examples.training, size, seed)

    def link_model(self, source: Any, named: NDArray[np.bool_], group: ProcessGroup | None = None) -> nn.Module:
        """Both branches."""
        torch.manual_seed(self.settings.seed)
        model = build_model(self.settings, self.query, self.store.manifest, self.builder.context_tables, group)
        model.described.learned.copy_(torch.from_numpy(named))
        return model

    def links_anywhere(self) -> PairSource:
        """Neighborhoods of any entities."""
        nobody = np.zeros(0, np.int64)
        return PairSource(self.builder, Examples.unlabelled(nobody, 0), nobody, 1, self.settings.seed)

    def predictor(self, model: nn.Module, source: PairSource, device: torch.device) -> TwoBranchPredictor:
        """Ranks by both branches."""
        assert isinstance(model, TwoBranchModel)
        return TwoBranchPredictor(model, source, device)

    def receptive_fields(self) -> tuple[ReceptiveField, ReceptiveField]:
        """Around an entity its neighborhood, and around each of the targets in it what is read of a target."""
        query, manifest = self.query, self.store.manifest
        sampling = link_sampling(query, self.settings.sampling)
        around_target = plan_paths(manifest, query.target.name, sampling.target_hops)
        around_entity = plan_paths(manifest, query.entity.name, sampling.entity_hops)
        # Targets take the latest events; of entities only the strategy `last` reads no more than the fan-out.
        targets = read_around(query.target.name, around_target, True, sampling.cap)
        candidates = [
            path
            for path in around_entity
            if [edge_type.name for edge_type in path] == [query.entity_link.name, query.target_link.name]
        ]
        behind = dict.fromkeys(candidates, targets)
        last = sampling.strategy == "last"
        return targets, read_around(query.entity.name, around_entity, last, sampling.cap, behind)
