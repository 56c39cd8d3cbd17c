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
    EntityExamples,
    Examples,
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
from gnnscale.nn import NOT_YET, BlockNetwork, BlockTowers, ProcessGroup, TowerVectors, build_convolution, build_lookup
from gnnscale.query import PredictiveQuery
from gnnscale.schema import NETWORKS, ConfigError, TableManifest
from gnnscale.store import NodeFeatures
from gnnscale.training.networks.block_sources import block_paths, memory_source, shard_source
from gnnscale.training.networks.network import LinkNetwork, NodeNetwork
from gnnscale.training.networks.source_device import place_source
from gnnscale.training.objectives.node_knowledge import NodeKnowledge
from gnnscale.training.predictors.link_predictor import LinkPredictor, ScoredEntities


class TowersPredictor(LinkPredictor):
    """Two towers on blocks, of which no pair has a score of its own.

    Args:
        model: in evaluation mode.
        source: of blocks around entities; one of training has them of its examples alone.
        query: bound query.
        features: of all targets.
        device: of the model.
    """

    def __init__(
        self,
        model: BlockTowers,
        source: BlockLoader | WalkLoader,
        query: PredictiveQuery,
        features: NodeFeatures,
        device: torch.device,
    ) -> None:
        super().__init__(device)
        self.model, self.source, self.query, self.features = model, source, query, features

    @property
    def network(self) -> BlockNetwork:
        """The entities' tower."""
        network = self.model.entity.network
        assert isinstance(network, BlockNetwork)
        return network

    def target_batch(self, nodes: NDArray[np.int64], anchor: int) -> TargetsThere:
        """Some targets with their columns."""
        return TargetsThere.of(self.features, nodes, anchor)

    def entity_batch(self, nodes: NDArray[np.int64], anchor: int) -> TowerBatch:
        """Blocks around some entities, sampled as in the first epoch, and no targets."""
        block = self.source.around(nodes, np.full(len(nodes), anchor, np.int32))
        return TowerBatch(block, TargetRows.of(self.features, np.zeros(0, np.int64)), block.edges)

    def target_vectors(self, batch: TargetsThere) -> Tensor:
        """Tower vectors; the bias is 0, and low enough to come last for what is not there or not to be ranked."""
        there = batch.valid & self.model.ranked(batch.rows.nodes)
        bias = torch.zeros(len(there), 1, device=there.device).masked_fill(~there.unsqueeze(1), NOT_YET)
        return torch.cat([self.model.encode_targets(batch.rows).float(), bias], dim=1)

    def entity_scores(self, batch: TowerBatch) -> ScoredEntities:
        """Tower vectors alone."""
        vectors = self.model.entity(batch.block).float()
        none = torch.zeros(0, dtype=torch.int64, device=vectors.device)
        with_bias = torch.cat([vectors, torch.ones_like(vectors[:, :1])], dim=1)
        return ScoredEntities(with_bias, none, none, none.to(vectors.dtype))


@NETWORKS.register("blocks")
class BlocksNetwork(LinkNetwork, NodeNetwork):
    """:class:`gnnscale.nn.BlockNetwork` over blocks from memory, from walks or from shards."""

    samples_blocks = True
    outputs = TowerVectors
    uses: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "model.convolution": (),
        "sampling.strategy": ("last", "uniform", "weighted", "walk"),
        "sampling.walks": (),
        "training.source": ("memory", "shards"),
        "training.negative_strategy": (),
        "training.hard_walks": (),
        "training.sampler": (),
        "training.feature_type": (),
        "training.cuda_graphs": (False, True),
        "embedding.method": ("sampled", "layerwise"),
    }
    ignores = ("model.group_columns", "model.id_channels", "model.latest", "model.dropout", "sampling.target_hops")

    @classmethod
    def check(cls, settings: Settings) -> None:
        """Refuse what does not go with walks or with shards.

        Raises:
            ConfigError: naming it.
        """
        training = settings.training
        if settings.sampling.strategy == "walk":
            for key, value, allowed in (
                ("embedding.method", settings.embedding.method, ("sampled",)),
                ("training.source", training.source, ("memory",)),
                ("training.sampler", training.sampler, ("auto", "cpu")),
                ("training.feature_type", training.feature_type, ("fp32",)),
            ):
                if value not in allowed:
                    known = ", ".join(allowed)
                    raise ConfigError(
                        f"{key}={value} is not for sampling.strategy=walk; with it, allowed: {known}, "
                        "for it walks on the CPU"
                    )
        elif training.source == "shards" and (training.sampler == "gpu" or training.feature_type != "fp32"):
            raise ConfigError(
                f"training.sampler={training.sampler} with training.feature_type={training.feature_type} is not for "
                "training.source=shards, whose blocks are read on the CPU; with it, allowed: auto or cpu, and fp32"
            )

    def labels(self, lake: Lake) -> pa.Table:
        """As shards hold them, where they train."""
        if self.settings.training.source == "shards":
            return ShardReader(lake, self.settings.query.name).labels()
        return super().labels(lake)

    def link_source(self, lake: Lake, examples: SplitExamples[Examples], device: torch.device | None) -> TowerSource:
        """Blocks around the examples' entities, and rows of targets."""
        check_shapes(self.settings, self.store.manifest.table(self.query.target.name))
        return TowerSource(self._blocks(lake, examples, device), self.store.features(self.query.target.name))

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
        towers = BlockTowers(entity, target, model.tower_channels, model.target_embedding, lookup, model.new_targets)
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
        return TowerSource(blocks, self.store.features(self.query.target.name))

    def nodes_anywhere(self, shape: AnswerShape) -> AnywhereSource:
        """Blocks around any entities, sampled in memory."""
        return memory_source(self.settings, self.store, self.query)

    def predictor(self, model: nn.Module, source: Any, device: torch.device) -> TowersPredictor:
        """Ranks by inner products."""
        assert isinstance(model, BlockTowers)
        return TowersPredictor(model, source.blocks, self.query, source.features, device)

    def receptive_fields(self) -> tuple[ReceptiveField, ReceptiveField]:
        """Of a target no more than its row, and of an entity its blocks.

        Raises:
            ConfigError: the network walks.
        """
        query, sampling = self.query, self.settings.sampling
        if sampling.strategy == "walk":
            raise ConfigError(
                "embedding.only_changed does not go with sampling.strategy=walk, whose walks may read any node; "
                "set it to false"
            )
        paths = block_paths(self.settings, self.store, query)
        around_entity = read_around(query.entity.name, paths, sampling.strategy == "last", sampling.cap)
        return ReceptiveField(query.target.name), around_entity

    def _blocks(self, lake: Lake, examples: SplitExamples[Any], device: torch.device | None) -> BlockSource:
        settings, training = self.settings, examples.training
        if settings.training.source == "shards":
            return shard_source(settings, self.query, ShardReader(lake, settings.query.name), training)
        seeds = examples.examples.entities, examples.examples.anchors
        loader = memory_source(settings, self.store, self.query, seeds, training)
        if device is None or isinstance(loader, WalkLoader):
            return loader
        return place_source(loader, settings.training, device, self.host_processes)


def check_shapes(settings: Settings, target: TableManifest) -> None:
    """Refuse CUDA graphs where batches of a query that ranks rows differ in shape: none would be replayed.

    Args:
        settings: ``model.target_embedding`` and ``training.cuda_graphs`` count.
        target: the targets' table.

    Raises:
        ConfigError: the targets' columns that the network reads have lists, of which a batch has now more, now fewer.
    """
    if settings.training.cuda_graphs and settings.model.target_embedding != "lookup" and target.multicategorical:
        columns = ", ".join(feature.column for feature in target.multicategorical)
        raise ConfigError(
            f"training.cuda_graphs=true needs batches of fixed shape, and {target.name}.{columns} has lists of any "
            "length; set it to false, or model.target_embedding=lookup"
        )


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
