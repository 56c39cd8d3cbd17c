"""Networks of convolutions on sampled blocks of fixed shape: for answers, and as the tower of entities for links."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnscale.batches import (
    AnswerShape,
    AnywhereSource,
    BlockLoader,
    BlockSource,
    CategoryCodes,
    EntityEvents,
    EntityExamples,
    Examples,
    HadTargets,
    ReceptiveField,
    ShardReader,
    SplitExamples,
    TargetRows,
    TargetsThere,
    TowerBatch,
    TowerSource,
    WalkLoader,
    read_around,
)
from gnnscale.config import Settings
from gnnscale.lake import Lake
from gnnscale.nn import BlockNetwork, BlockTowers, ProcessGroup, TowerVectors, build_convolution, build_lookup
from gnnscale.query import PredictiveQuery
from gnnscale.schema import NETWORKS, ConfigError, GraphManifest
from gnnscale.store import NodeFeatures
from gnnscale.training.networks.block_checks import check_blocks, check_shapes
from gnnscale.training.networks.block_sources import block_paths, memory_source, shard_source
from gnnscale.training.networks.network import LinkNetwork, NodeNetwork
from gnnscale.training.networks.query_walks import query_walks
from gnnscale.training.networks.source_device import place_source
from gnnscale.training.objectives.node_knowledge import NodeKnowledge
from gnnscale.training.predictors.layerwise_predictor import LayerwisePredictor, scored_by_vectors, with_target_bias
from gnnscale.training.predictors.link_predictor import ScoredEntities


class TowersPredictor(LayerwisePredictor):
    """Two towers on blocks, of which no pair has a score of its own.

    Args:
        model: in evaluation mode.
        source: of blocks around entities; one of training has them of its examples alone.
        query: bound query.
        features: of all targets.
        device: of the model.
        events: of all entities, where their vectors start from what they have had; else None.
    """

    def __init__(
        self,
        model: BlockTowers,
        source: BlockLoader | WalkLoader,
        query: PredictiveQuery,
        features: NodeFeatures,
        device: torch.device,
        events: EntityEvents | None = None,
    ) -> None:
        super().__init__(device)
        self.model, self.source, self.query, self.features, self.events = model, source, query, features, events

    @property
    def network(self) -> BlockNetwork:
        """The entities' tower."""
        network = self.model.entity.network
        assert isinstance(network, BlockNetwork)
        return network

    @property
    def layer_inputs(self) -> tuple[Mapping[str, NDArray[Any]], Mapping[str, CategoryCodes]]:
        """Of all tables that blocks reach."""
        return self.source.arrays, self.source.codes

    def are_ranked(self, nodes: NDArray[np.int64], anchor: int) -> NDArray[np.bool_]:
        """Those that are there, and that training named or need not."""
        there = np.asarray(self.features.is_valid_at(nodes, anchor))
        return there & self.model.ranked(torch.from_numpy(nodes).to(self.device)).cpu().numpy()

    def target_batch(self, nodes: NDArray[np.int64], anchor: int) -> TargetsThere:
        """Some targets with their columns."""
        return TargetsThere.of(self.features, nodes, anchor)

    def entity_batch(self, nodes: NDArray[np.int64], anchor: int) -> TowerBatch:
        """Blocks around some entities, sampled as in the first epoch, and no targets."""
        anchors = np.full(len(nodes), anchor, np.int32)
        block = self.source.around(nodes, anchors)
        had = None if self.events is None else HadTargets.of(self.events, self.features, nodes, anchors)
        return TowerBatch(block, TargetRows.of(self.features, np.zeros(0, np.int64)), block.edges, had)

    def target_vectors(self, batch: TargetsThere) -> Tensor:
        """Tower vectors; the bias is 0, and low enough to come last for what is not there or not to be ranked."""
        there = batch.valid & self.model.ranked(batch.rows.nodes)
        return with_target_bias(self.model.encode_targets(batch.rows), there)

    def entity_scores(self, batch: TowerBatch) -> ScoredEntities:
        """Tower vectors alone."""
        return scored_by_vectors(self.model.encode_entities(batch.block, batch.had))


@NETWORKS.register("blocks")
class BlocksNetwork(LinkNetwork, NodeNetwork):
    """:class:`gnnscale.nn.BlockNetwork` over blocks from memory, from walks or from shards."""

    samples_blocks = True
    outputs = TowerVectors
    uses: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "model.convolution": (),
        "model.entity_start": ("zero", "targets"),
        "model.target_hidden": (),
        "model.temperature": (),
        "sampling.strategy": ("last", "uniform", "weighted", "walk"),
        "sampling.walks": (),
        "sampling.roots": (),
        "training.source": ("memory", "shards"),
        "training.negative_strategy": (),
        "training.hard_walks": (),
        "training.sampler": (),
        "training.feature_type": (),
        "training.cuda_graphs": (False, True),
        "embedding.method": ("sampled", "layerwise"),
    }
    ignores = (
        *("model.group_columns", "model.id_channels", "model.latest", "model.dropout", "model.max_target_neighbors"),
        "sampling.target_hops",
    )

    @classmethod
    def check(cls, settings: Settings) -> None:
        """Refuse what does not go together; see :func:`check_blocks`."""
        check_blocks(settings)

    @classmethod
    def check_graph(cls, settings: Settings, manifest: GraphManifest, query: PredictiveQuery) -> None:
        """Refuse fan-outs or walks that don't fit; see :meth:`Network.check_graph`."""
        super().check_graph(settings, manifest, query)
        if settings.sampling.strategy == "walk":
            query_walks(settings, manifest, query)
        else:
            block_paths(settings, manifest, query)

    def labels(self, lake: Lake) -> pa.Table:
        """As shards hold them, where they train."""
        if self.settings.training.source == "shards":
            return ShardReader(lake, self.settings.query.name).labels()
        return super().labels(lake)

    def link_source(self, lake: Lake, examples: SplitExamples[Examples], device: torch.device | None) -> TowerSource:
        """Blocks around the examples' entities, and rows of targets."""
        check_shapes(self.settings, self.store.manifest.table(self.query.target.name))
        features = self.store.features(self.query.target.name)
        return TowerSource(self._blocks(lake, examples, device), features, self._events(), examples.examples)

    def node_source(
        self, lake: Lake, examples: SplitExamples[EntityExamples], shape: AnswerShape, device: torch.device | None
    ) -> BlockSource:
        """Blocks around the examples' entities."""
        return self._blocks(lake, examples, device)

    def link_model(self, source: TowerSource, named: NDArray[np.bool_], group: ProcessGroup | None = None) -> nn.Module:
        """Two towers."""
        settings, model = self.settings, self.settings.model
        target = self.store.manifest.table(self.query.target.name)
        torch.manual_seed(settings.seed)
        entity = build_block_network(settings, source.blocks, model.tower_channels)
        lookup = build_lookup(settings, target.rows, group)
        towers = BlockTowers(
            entity,
            target,
            model.tower_channels,
            model.target_embedding,
            lookup,
            model.new_targets,
            model.target_hidden,
            model.temperature,
            model.entity_start == "targets",
        )
        towers.learned.copy_(torch.from_numpy(named))
        return towers

    def node_model(
        self, source: BlockSource, knowledge: NodeKnowledge, training: NDArray[np.int64] | None = None
    ) -> nn.Module:
        """Convolutions down to the scores."""
        torch.manual_seed(self.settings.seed)
        return build_block_network(self.settings, source, knowledge.shape.scores)

    def links_anywhere(self) -> TowerSource:
        """Blocks around any entities, sampled in memory, and rows of targets."""
        blocks = memory_source(self.settings, self.store, self.query)
        return TowerSource(blocks, self.store.features(self.query.target.name), self._events())

    def nodes_anywhere(self, shape: AnswerShape) -> AnywhereSource:
        """Blocks around any entities, sampled in memory."""
        return memory_source(self.settings, self.store, self.query)

    def predictor(self, model: nn.Module, source: Any, device: torch.device) -> TowersPredictor:
        """Ranks by inner products."""
        assert isinstance(model, BlockTowers)
        return TowersPredictor(model, source.blocks, self.query, source.features, device, source.events)

    def receptive_fields(self) -> tuple[ReceptiveField, ReceptiveField]:
        """Of a target no more than its row, and of an entity its blocks.

        Raises:
            ConfigError: the network walks.
        """
        query, sampling = self.query, self.settings.sampling
        if self.settings.model.entity_start == "targets":
            raise ConfigError(
                "embedding.only_changed does not go with model.entity_start=targets, which reads all that an entity "
                "has had; set it to false"
            )
        if sampling.strategy == "walk":
            raise ConfigError(
                "embedding.only_changed does not go with sampling.strategy=walk, whose walks may read any node; "
                "set it to false"
            )
        paths = block_paths(self.settings, self.store.manifest, query)
        around_entity = read_around(query.entity.name, paths, sampling.strategy == "last", sampling.cap)
        return ReceptiveField(query.target.name), around_entity

    def _events(self) -> EntityEvents | None:
        """Of all entities, where their vectors start from what they have had."""
        return EntityEvents.read(self.store, self.query) if self.settings.model.entity_start == "targets" else None

    def _blocks(self, lake: Lake, examples: SplitExamples[Any], device: torch.device | None) -> BlockSource:
        settings, training = self.settings, examples.training
        if settings.training.source == "shards":
            return shard_source(settings, self.query, ShardReader(lake, settings.query.name), training)
        seeds = examples.examples.entities, examples.examples.anchors
        loader = memory_source(settings, self.store, self.query, seeds, training)
        if device is None or isinstance(loader, WalkLoader):
            return loader
        return place_source(loader, settings.training, device, self.host_processes)


def build_block_network(settings: Settings, source: BlockSource, out: int) -> BlockNetwork:
    """A network as deep as the source's blocks, with fresh weights.

    Args:
        settings: ``model.convolution``, ``model.hidden`` and ``model.feature_channels`` count.
        source: of blocks.
        out: channels of the output.
    """
    chosen = settings.model.convolution
    if chosen == "auto":
        chosen = "importance" if settings.sampling.strategy == "walk" else "mean"
    return BlockNetwork(
        source.paths,
        source.table,
        source.widths,
        settings.model.hidden,
        out,
        build_convolution(chosen),
        source.categories,
        settings.model.feature_channels,
    )
