"""PinSage: vectors of items by what they say and what random walks reach from them, for links between items."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnscale.arrays import Ragged
from gnnscale.batches import (
    CategoryCodes,
    Examples,
    HiddenColumns,
    LayeredBlock,
    LayeredBuilder,
    LayeredSource,
    ReceptiveField,
    SplitExamples,
    category_codes,
    dense_features,
)
from gnnscale.config import Settings, WalkSettings
from gnnscale.lake import Lake
from gnnscale.nn import PinSageNetwork, PinSageTowers, ProcessGroup, TowerVectors, build_convolution
from gnnscale.query import PredictiveQuery
from gnnscale.sampling import MostVisited, plan_steps
from gnnscale.schema import NETWORKS, ConfigError, GraphManifest
from gnnscale.training.networks.block_sources import layer_paths
from gnnscale.training.networks.network import LinkNetwork
from gnnscale.training.networks.query_walks import query_walker, query_walks
from gnnscale.training.predictors.layerwise_predictor import LayerwisePredictor, scored_by_vectors, with_target_bias
from gnnscale.training.predictors.link_predictor import ScoredEntities

NOBODY = np.zeros(0, np.int64)


class PinSagePredictor(LayerwisePredictor):
    """One network for entities and targets, which are items alike.

    Args:
        model: in evaluation mode.
        builder: of blocks around any items.
        query: bound query.
        device: of the model.
    """

    # Around each there are hundreds of others, of which those of many are the same.
    targets_at_once = entities_at_once = 1024

    def __init__(
        self, model: PinSageTowers, builder: LayeredBuilder, query: PredictiveQuery, device: torch.device
    ) -> None:
        super().__init__(device)
        self.model, self.builder, self.query = model, builder, query

    @property
    def network(self) -> PinSageNetwork:
        """Of the items."""
        return self.model.network

    @property
    def layer_inputs(self) -> tuple[Mapping[str, NDArray[Any]], Mapping[str, CategoryCodes]]:
        """Of the items' table."""
        table, codes = self.query.target.name, self.builder.codes
        return {table: self.builder.features}, {} if codes is None else {table: codes}

    def are_ranked(self, nodes: NDArray[np.int64], anchor: int) -> NDArray[np.bool_]:
        """Those that are there."""
        return self.builder.are_there(nodes, anchor)

    def target_batch(self, nodes: NDArray[np.int64], anchor: int) -> LayeredBlock:
        """Layers around some targets."""
        return self.builder.build(NOBODY, nodes, anchor)

    def entity_batch(self, nodes: NDArray[np.int64], anchor: int) -> LayeredBlock:
        """Layers around some entities."""
        return self.builder.build(nodes, NOBODY, anchor)

    def target_vectors(self, batch: LayeredBlock) -> Tensor:
        """Vectors and biases."""
        return with_target_bias(self.network.encode_layers(batch)[batch.targets], batch.there)

    def entity_scores(self, batch: LayeredBlock) -> ScoredEntities:
        """Vectors alone."""
        return scored_by_vectors(self.network.encode_layers(batch)[batch.entities])


@NETWORKS.register("pinsage")
class PinSage(LinkNetwork):
    """:class:`gnnscale.nn.PinSageNetwork` over what walks from items visit most."""

    samples_blocks = True
    outputs = TowerVectors
    entities_are_targets = True
    layered_sides = ("entities", "targets")
    uses: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "model.convolution": ("importance",),
        "model.pinsage": (),
        "model.temperature": (),
        "sampling.strategy": ("walk",),
        "sampling.walks": (),
        "sampling.roots": (),
        "training.source": ("memory",),
        "training.negative_strategy": (),
        "training.hard_walks": (),
        "training.sampler": ("auto", "cpu"),
        "training.feature_type": ("fp32",),
        "training.cuda_graphs": (False,),
        "embedding.method": ("sampled", "layerwise"),
    }
    ignores = (
        *("model.channels", "model.tower_channels", "model.id_channels", "model.latest", "model.dropout"),
        *("model.group_columns", "model.target_embedding", "model.new_targets", "model.max_target_neighbors"),
        *("sampling.entity_hops", "sampling.target_hops"),
    )

    @classmethod
    def check(cls, settings: Settings) -> None:
        """Refuse a configuration without walks.

        Raises:
            ConfigError: naming what is missing.
        """
        if settings.sampling.strategy != "walk" or settings.sampling.walks is None:
            raise ConfigError(
                "model.network=pinsage needs sampling.strategy=walk and sampling.walks, whose cycle goes from an item "
                "back to items"
            )

    @property
    def own_walks(self) -> WalkSettings | None:
        """Those of the neighborhoods: hard negatives come of them, too."""
        return self.settings.sampling.walks

    @cached_property
    def builder(self) -> LayeredBuilder:
        """Of its batches.

        Raises:
            ConfigError: the query is not about one table, or walks don't come back to it.
        """
        settings, store, query = self.settings, self.store, self.query
        self.check_graph(settings, store.manifest, query)
        table = query.target.name
        walker = query_walker(settings, store, query)
        manifest = store.manifest.table(table)
        hidden = HiddenColumns.of(manifest, {column for name, column in query.hidden_columns if name == table})
        coded = manifest.categorical or manifest.multicategorical
        codes = category_codes(store, table, hidden) if coded else None
        features, threads = dense_features(store, table, hidden), settings.sampling.threads
        return LayeredBuilder(MostVisited(walker), settings.model.pinsage.layers, features, codes, threads)

    @classmethod
    def check_graph(cls, settings: Settings, manifest: GraphManifest, query: PredictiveQuery) -> None:
        """Refuse walks, and queries of two tables, that don't fit; see :meth:`Network.check_graph`."""
        super().check_graph(settings, manifest, query)
        table = query.target.name
        if not query.ranks_own_table:
            raise ConfigError(
                f"model.network=pinsage is for rows of one table that are ranked for each other; this query ranks "
                f"'{table}' for '{query.entity.name}'"
            )
        end = plan_steps(manifest, table, query_walks(settings, manifest, query).cycle, None)[-1].target
        if end != table:
            raise ConfigError(f"sampling.walks.cycle ends at '{end}'; of model.network=pinsage at '{table}'")

    def link_source(self, lake: Lake, examples: SplitExamples[Examples], device: torch.device | None) -> LayeredSource:
        """Layers around the examples' items and those that they are scored against."""
        size, seed = self.settings.training.batch_size, self.settings.seed
        return LayeredSource(self.builder, examples.examples, examples.training, size, seed)

    def link_model(
        self, source: LayeredSource, named: NDArray[np.bool_], group: ProcessGroup | None = None
    ) -> nn.Module:
        """The network; it learns nothing of single items, so that it is the same for new ones."""
        settings, model, table = self.settings, self.settings.model, self.query.target.name
        torch.manual_seed(settings.seed)
        codes = self.builder.codes
        return PinSageTowers(
            PinSageNetwork(
                layer_paths(settings, self.store, self.query),
                table,
                self.builder.features.shape[1],
                model.hidden,
                model.pinsage.dims,
                build_convolution("importance" if model.convolution == "auto" else model.convolution),
                None if codes is None else {table: codes.categories},
                model.feature_channels,
            ),
            model.temperature or 1.0,
        )

    def links_anywhere(self) -> LayeredSource:
        """Layers around any items."""
        return LayeredSource(self.builder, Examples.unlabelled(NOBODY, 0), NOBODY, 1, self.settings.seed)

    def predictor(self, model: nn.Module, source: LayeredSource, device: torch.device) -> PinSagePredictor:
        """Ranks by inner products."""
        assert isinstance(model, PinSageTowers)
        return PinSagePredictor(model, source.builder, self.query, device)

    def left_out(self, examples: Examples) -> Callable[[NDArray[np.int64]], Ragged]:
        """An item itself, and what it had where the query asks for new ones alone."""
        past = super().left_out(examples)

        def found(rows: NDArray[np.int64]) -> Ragged:
            own = examples.entities[rows]
            if past is None:
                return Ragged(np.arange(len(own) + 1), own)
            had = past(rows)
            places = np.concatenate([had.row_of_value, np.arange(len(own))])
            return Ragged.from_pairs(places, np.concatenate([had.values, own]), len(own))

        return found

    def receptive_fields(self) -> tuple[ReceptiveField, ReceptiveField]:
        """Walks may read any node.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "embedding.only_changed does not go with model.network=pinsage, whose walks may read any node; set it to "
            "false"
        )
