"""LightGCN on samples of the graph, for graphs past a device and for several workers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnscale.batches import (
    BipartiteBlock,
    BipartiteBuilder,
    BipartiteSides,
    BipartiteSource,
    Examples,
    ReceptiveField,
    SplitExamples,
    pair_examples,
)
from gnnscale.collaborative import BipartiteGraph, spectral_vectors
from gnnscale.config import Settings
from gnnscale.lake import Lake
from gnnscale.nn import NOT_YET, LightGCNTowers, NodeVectors, ProcessGroup, TowerVectors, build_lookup, sharded_tables
from gnnscale.nn.lightgcn_towers import START
from gnnscale.query import PredictiveQuery
from gnnscale.schema import NETWORKS, ConfigError, DataError, GraphManifest, TableManifest, nearest
from gnnscale.store import GraphStore
from gnnscale.training.networks.network import LinkNetwork
from gnnscale.training.predictors.layerwise_predictor import without_pairs
from gnnscale.training.predictors.link_predictor import LinkPredictor, ScoredEntities

NOBODY = np.zeros(0, np.int64)


class LightGCNPredictor(LinkPredictor):
    """Vectors that are smoothed over samples, as in the first epoch.

    Args:
        model: in evaluation mode.
        builder: of blocks around any nodes.
        new_targets: whether what training has not met is ranked, by the events that it has had since.
        device: of the model.
    """

    # Around each there are hundreds of others, of which those of many are the same.
    targets_at_once = entities_at_once = 1024

    def __init__(
        self, model: LightGCNTowers, builder: BipartiteBuilder, new_targets: bool, device: torch.device
    ) -> None:
        super().__init__(device)
        self.model, self.builder, self.new_targets = model, builder, new_targets

    def target_batch(self, nodes: NDArray[np.int64], anchor: int) -> BipartiteBlock:
        """The graph around some targets."""
        return self.builder.build(NOBODY, nodes, anchor)

    def entity_batch(self, nodes: NDArray[np.int64], anchor: int) -> BipartiteBlock:
        """The graph around some entities."""
        return self.builder.build(nodes, NOBODY, anchor)

    def target_vectors(self, batch: BipartiteBlock) -> Tensor:
        """Vectors and biases; what is not there or not known, by training or by an event since, comes last."""
        learned = self.model.targets.learned[batch.asked_targets]
        ranked = batch.there & (learned | (batch.degrees > 0) if self.new_targets else learned)
        found = self.encode(batch).target.float()
        found[~ranked, -1] = NOT_YET
        return found

    def entity_scores(self, batch: BipartiteBlock) -> ScoredEntities:
        """Vectors alone."""
        return without_pairs(self.encode(batch).entity.float())

    def encode(self, batch: BipartiteBlock) -> TowerVectors:
        """Vectors of a block's entities and targets."""
        found: TowerVectors = self.model(batch)
        return found


class WholeGraphPredictor(LightGCNPredictor):
    """Vectors that are smoothed over the whole graph at an anchor, all of them when the first is asked for.

    Args:
        model, builder, new_targets, device: as of :class:`LightGCNPredictor`.

    Attributes:
        held: the latest anchor that was asked for, and the smoothed vectors of all entities and of all targets at it.
    """

    def __init__(
        self, model: LightGCNTowers, builder: BipartiteBuilder, new_targets: bool, device: torch.device
    ) -> None:
        # Blocks say who is asked for, and products are made with the whole graph.
        super().__init__(model, BipartiteBuilder(builder.sides, 0), new_targets, device)
        self.layers = builder.layers
        self.held: tuple[int, Tensor, Tensor] | None = None

    def encode(self, batch: BipartiteBlock) -> TowerVectors:
        """Vectors of a block's entities and targets."""
        if self.held is None or self.held[0] != batch.anchor:
            sides = self.builder.sides
            graph = BipartiteGraph(sides.matrix(batch.anchor), self.device, sides.all_degrees(batch.anchor))
            smoothed = graph.smooth(self.model.all_vectors(), self.layers)
            self.held = batch.anchor, *smoothed.split(graph.shape)
        _, entities, targets = self.held
        return self.model.scored(entities[batch.asked_entities], targets[batch.asked_targets], batch.degrees)


@NETWORKS.register("lightgcn")
class SampledLightGCN(LinkNetwork):
    """:class:`gnnscale.nn.LightGCNTowers` over the events of entities and targets."""

    samples_blocks = True
    outputs = TowerVectors
    uses: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "model.lightgcn": (),
        "model.temperature": (),
        "sampling.strategy": ("uniform",),
        "sampling.roots": (),
        "training.source": ("memory",),
        "training.negative_strategy": (),
        "training.hard_walks": (),
        "training.sampler": ("auto", "cpu"),
        "training.feature_type": ("fp32",),
        "training.cuda_graphs": (False,),
        "embedding.method": ("sampled",),
    }
    ignores = (
        *("model.channels", "model.hidden", "model.tower_channels", "model.feature_channels", "model.id_channels"),
        *("model.latest", "model.dropout", "model.group_columns", "model.target_embedding"),
        *("model.max_target_neighbors", "sampling.entity_hops", "sampling.target_hops"),
    )

    @classmethod
    def check(cls, settings: Settings) -> None:
        """Refuse roots where no example is one of the query's, and a cap: degrees are those of all events.

        Raises:
            ConfigError: naming them.
        """
        if settings.sampling.cap is not None:
            raise ConfigError(
                "sampling.cap is not for model.network=lightgcn, whose samples stand for all events: leave it out, or "
                "lower model.lightgcn.neighbors"
            )
        if settings.sampling.roots is not None and settings.model.lightgcn.positives == "events":
            raise ConfigError("sampling.roots is for model.lightgcn.positives=targets, and not for events")

    @cached_property
    def sides(self) -> BipartiteSides:
        """Of the graph.

        Raises:
            ConfigError: weights are of a column or a value that the events don't have.
        """
        own = self.settings.model.lightgcn
        weights = event_weights(own.event_weights, self.store, self.query)
        return BipartiteSides(self.store, self.query, own.neighbors, self.settings.seed, weights)

    @cached_property
    def builder(self) -> BipartiteBuilder:
        """Of its batches."""
        return BipartiteBuilder(self.sides, self.settings.model.lightgcn.layers)

    @classmethod
    def check_graph(cls, settings: Settings, manifest: GraphManifest, query: PredictiveQuery) -> None:
        """Refuse weights of events that don't fit; see :meth:`Network.check_graph`."""
        super().check_graph(settings, manifest, query)
        weight_tables(settings.model.lightgcn.event_weights, manifest.table(query.event_table.name))

    def learned_examples(self, examples: SplitExamples[Examples]) -> SplitExamples[Examples]:
        """All pairs that there are by the first validation anchor, or the query's examples.

        Raises:
            DataError: there is none.
        """
        if self.settings.model.lightgcn.positives == "targets":
            return examples
        shown = examples.examples.take(examples.validation)
        anchor = int(shown.anchors.min())
        seen = self.sides.matrix(anchor).tocoo()
        if not seen.nnz:
            raise DataError(
                f"no event of '{self.query.event_table.name}' up to the validation anchor is of any weight: there is "
                "nothing to learn from"
            )
        anchors = np.full(seen.nnz, anchor, np.int32)
        return pair_examples(seen.row.astype(np.int64), anchors, seen.col.astype(np.int64), shown)

    def link_source(
        self, lake: Lake, examples: SplitExamples[Examples], device: torch.device | None
    ) -> BipartiteSource:
        """The graph around the examples' entities and the targets that they are scored against."""
        size, seed = self.settings.training.batch_size, self.settings.seed
        return BipartiteSource(self.builder, examples.examples, examples.training, size, seed)

    def link_model(
        self, source: BipartiteSource, named: NDArray[np.bool_], group: ProcessGroup | None = None
    ) -> nn.Module:
        """Vectors of all entities and targets, which start from the graph at the latest training anchor."""
        settings = self.settings
        torch.manual_seed(settings.seed)

        def vectors(side: str, table: str) -> NodeVectors:
            rows = self.store.node_count(table)
            return NodeVectors(side, rows, settings.model.lightgcn.dims, build_lookup(settings, rows, group))

        entities, targets = vectors("entity", self.query.entity.name), vectors("target", self.query.target.name)
        model = LightGCNTowers(entities, targets, settings.model.temperature)
        if len(source.chosen):
            self._begin(model, source, named, group or ProcessGroup())
        return model

    def _begin(
        self, model: LightGCNTowers, source: BipartiteSource, named: NDArray[np.bool_], group: ProcessGroup
    ) -> None:
        """Say which nodes training meets, and where their vectors start."""
        settings, examples = self.settings, source.examples
        anchor = int(examples.anchors[source.chosen].max())
        asked = np.unique(examples.entities[source.chosen])
        for side, vectors in ((self.sides.entities, model.entities), (self.sides.targets, model.targets)):
            every = np.arange(len(vectors.learned))
            met = side.counts(every, anchor) > 0
            met |= named if vectors is model.targets else np.isin(every, asked)
            vectors.learned.copy_(torch.from_numpy(met))
        if settings.model.lightgcn.start == "random":
            return
        found, shift = self._spectral(anchor) if group.rank == 0 else None, len(model.entities.learned)
        model.entities.start_from(None if found is None else found[:shift], group)
        model.targets.start_from(None if found is None else found[shift:], group)

    def _spectral(self, anchor: int) -> Tensor:
        """Vectors of all entities and then all targets by the whole graph at an anchor, ``[nodes, dims]``."""
        own, seen = self.settings.model.lightgcn, self.sides.matrix(anchor)
        generator = torch.Generator().manual_seed(self.settings.seed)
        drawn = torch.empty(sum(seen.shape), own.dims).normal_(std=0.1 * START, generator=generator)
        if seen.nnz:
            found = spectral_vectors(seen, own.dims, self.settings.seed, START)
            drawn[:, : found.shape[1]] += torch.from_numpy(found)
        return drawn

    def links_anywhere(self) -> BipartiteSource:
        """The graph around any entities and targets."""
        return BipartiteSource(self.builder, Examples.unlabelled(NOBODY, 0), NOBODY, 1, self.settings.seed)

    def predictor(self, model: nn.Module, source: BipartiteSource, device: torch.device) -> LightGCNPredictor:
        """Ranks by inner products."""
        assert isinstance(model, LightGCNTowers)
        whole = self.settings.model.lightgcn.answers == "whole" and not sharded_tables(model)
        kind = WholeGraphPredictor if whole else LightGCNPredictor
        return kind(model, source.builder, self.settings.model.new_targets, device)

    def receptive_fields(self) -> tuple[ReceptiveField, ReceptiveField]:
        """A product may read any node.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "embedding.only_changed does not go with model.network=lightgcn, whose vectors read the degrees of what is "
            "around them; set it to false"
        )


def event_weights(
    wanted: Mapping[str, Mapping[str, float]], store: GraphStore, query: PredictiveQuery
) -> NDArray[np.float32] | None:
    """What each event counts in the graph, float32 ``[events]``; None where all count 1.

    Args:
        wanted: column of the events -> value -> weight; of several columns, weights are multiplied.
        store: of the graph.
        query: bound query, which says what an event is.

    Raises:
        ConfigError: there is no such categorical column, or no event has such a value.
    """
    if not wanted:
        return None
    table = store.manifest.table(query.event_table.name)
    codes = store.features(table.name).categorical
    weights = np.ones(table.rows, np.float32)
    for place, of_code in weight_tables(wanted, table).items():
        weights *= of_code[np.asarray(codes[:, place])]
    return weights


def weight_tables(wanted: Mapping[str, Mapping[str, float]], table: TableManifest) -> dict[int, NDArray[np.float32]]:
    """Place of a categorical column -> weight of each of its codes, float32 ``[codes]``.

    Args:
        wanted: column of the events -> value -> weight.
        table: of the events.

    Raises:
        ConfigError: there is no such categorical column, or no event has such a value.
    """
    columns = {feature.column: place for place, feature in enumerate(table.categorical)}
    found = {}
    for column, given in wanted.items():
        if column not in columns:
            known = ", ".join(columns) or "it has none"
            raise ConfigError(
                f"model.lightgcn.event_weights: '{table.name}' has no categorical column '{column}'; allowed: {known}"
            )
        categories = table.categorical[columns[column]].categories
        of_code = np.ones(len(categories) + 1, np.float32)
        for value, weight in given.items():
            if value not in categories:
                raise ConfigError(
                    f"model.lightgcn.event_weights: no '{value}' in {table.name}.{column}.{nearest(value, categories)}"
                )
            of_code[categories.index(value) + 1] = weight
        found[columns[column]] = of_code
    return found
