"""A model for a query, a graph and a configuration."""

from __future__ import annotations

from collections.abc import Mapping

from gnnscale.config.settings import Settings
from gnnscale.nn.two_branch import TwoBranchModel, TwoBranchSize
from gnnscale.query import PredictiveQuery
from gnnscale.schema import GraphManifest


def build_model(
    settings: Settings, query: PredictiveQuery, manifest: GraphManifest, context: Mapping[tuple[str, ...], str]
) -> TwoBranchModel:
    """The network that answers the query, with fresh weights.

    Args:
        settings: section ``model`` counts.
        query: bound query.
        manifest: of the graph.
        context: path -> table of the hops that :class:`gnnscale.loading.BatchBuilder` gathers beside the events.
    """
    model = settings.model
    size = TwoBranchSize(
        model.channels, model.hidden, model.tower_channels, model.feature_channels, model.id_channels, model.dropout
    )
    return TwoBranchModel(
        manifest.table(query.entity.name),
        manifest.table(query.facts.name),
        manifest.table(query.target.name),
        {path: manifest.table(table) for path, table in context.items()},
        len(model.siblings),
        settings.sampling.target_hops[0][query.target_link.name],
        size,
    )
