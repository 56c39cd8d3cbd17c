"""A model for a query, a graph and a configuration."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from gnnscale.batches import AnswerShape, EntityBatchBuilder, link_sampling
from gnnscale.config import Settings
from gnnscale.nn.embedding.embedding_init import EmbeddingInit
from gnnscale.nn.embedding.sharded_embedding import ProcessGroup, ShardedEmbedding
from gnnscale.nn.encoders.item_encoder import Lookup
from gnnscale.nn.entity_model import EntityModel, EntitySize
from gnnscale.nn.two_branch import TwoBranchModel, TwoBranchSize
from gnnscale.query import PredictiveQuery
from gnnscale.schema import GraphManifest


def build_model(
    settings: Settings,
    query: PredictiveQuery,
    manifest: GraphManifest,
    context: Mapping[tuple[str, ...], str],
    group: ProcessGroup | None = None,
) -> TwoBranchModel:
    """The network that answers the query, with fresh weights.

    Args:
        settings: section ``model`` counts.
        query: bound query.
        manifest: of the graph.
        context: path -> table of the hops that :class:`gnnscale.batches.BatchBuilder` gathers beside the events.
        group: processes that train together and share large tables of embeddings; default: all tables are plain, as
            they are in a model file whatever they were in training.
    """
    model = settings.model
    size = TwoBranchSize(
        model.channels, model.hidden, model.tower_channels, model.feature_channels, model.id_channels, model.dropout
    )
    return TwoBranchModel(
        manifest.table(query.entity.name),
        manifest.table(query.event_table.name),
        manifest.table(query.target.name),
        {path: manifest.table(table) for path, table in context.items()},
        len(model.group_columns),
        link_sampling(query, settings.sampling).target_hops[0][query.target_link.name],
        size,
        model.target_embedding,
        model.new_targets,
        build_lookup(settings, manifest.table(query.target.name).rows, group),
    )


def build_lookup(settings: Settings, rows: int, group: ProcessGroup | None) -> Lookup | None:
    """What makes the tables of embeddings of targets: shared out by row where there are many.

    Args:
        settings: ``model.sharded_lookup_rows`` and the seed count.
        rows: targets.
        group: processes that train together; None for plain tables.

    Returns:
        None for plain tables.
    """
    if group is None or rows < settings.model.sharded_lookup_rows:
        return None

    def lookup(name: str, rows: int, channels: int, deviation: float) -> nn.Module:
        return ShardedEmbedding(rows, channels, EmbeddingInit(settings.seed, name, deviation), group)

    return lookup


def build_entity_model(
    settings: Settings,
    query: PredictiveQuery,
    manifest: GraphManifest,
    builder: EntityBatchBuilder,
    shape: AnswerShape,
    yearly: bool,
) -> EntityModel:
    """The network of a node-level task over neighborhoods, with fresh weights.

    Args:
        settings: section ``model`` counts.
        query: bound query.
        manifest: of the graph.
        builder: of the network's batches.
        shape: of the answers.
        yearly: whether the time of the year is an input.
    """
    model = settings.model
    size = EntitySize(model.channels, model.hidden, model.feature_channels, model.dropout)
    sums = (builder.sums.channels, builder.sums.class_channels)
    known = builder.features.names if builder.features else ()
    return EntityModel(builder.paths, manifest, query.entity.name, shape, yearly, sums, known, size)
