"""What can be checked before Spark is started: sources, columns, links, relations, the query, and the model."""

from __future__ import annotations

# A door that is lazy: it is opened where a network is named.
from gnnscale import training
from gnnscale.config import (
    Settings,
    build_graph_schema,
    changed_keys,
    configured_query,
    declared_relations,
    mentioned_kinds,
)
from gnnscale.lake import NO_SOURCE, column_kinds, table_source
from gnnscale.query import PredictiveQuery
from gnnscale.schema import GraphManifest, ValueKind, relation_links


def check_inputs(settings: Settings) -> PredictiveQuery:
    """See that every table is there, has the columns that the configuration names, and suits the query.

    Returns:
        The query, bound to the graph with the links that the column names give away.

    Raises:
        LakeError: a source is missing.
        SchemaError: a column is missing or has a name that the graph can't take, the links don't make a graph, or a
            relation does not fit the tables.
        QueryError: the query does not fit.
        ConfigError: what is said beside the query does not fit it.
    """
    graph = build_graph_schema(settings)
    options = settings.lake.storage_options
    kinds: dict[str, dict[str, ValueKind]] = {}
    for table in graph.tables.values():
        source = table_source(table, options)
        if source != NO_SOURCE:
            found = column_kinds(source, options)
            table.check_columns(found)
            kinds[table.name] = found
    kinds |= mentioned_kinds(graph, kinds)
    graph = build_graph_schema(settings, kinds)
    graph.infer_links(kinds)
    graph.validate()
    relation_links(declared_relations(settings.relations), graph)
    return configured_query(settings, graph)


def check_model(settings: Settings, query: PredictiveQuery) -> None:
    """See that the network is for the query; nothing of it is imported where all is at its default.

    Raises:
        ConfigError: it is not, or has no use for what is set beside it.
    """
    if settings.model.network != "auto" or changed_keys(settings):
        training.find_network(settings, query)


def check_model_on_graph(settings: Settings, manifest: GraphManifest, query: PredictiveQuery) -> None:
    """See that the fan-outs, walks and columns of a model that is named fit the graph.

    Where none is, labels and shards may be for a network of somebody's own.

    Args:
        settings: ``model``, ``sampling`` and ``training`` count.
        manifest: of the graph.
        query: bound query.

    Raises:
        ConfigError: they don't.
    """
    if settings.model.network != "auto" or settings.model.group_columns:
        training.check_graph(settings, manifest, query)
