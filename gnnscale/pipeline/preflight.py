"""What can be checked in a second, before Spark is started: sources, columns, links, relations and the query."""

from __future__ import annotations

from gnnscale.config import Settings, build_graph_schema, configured_query, declared_relations, mentioned_kinds
from gnnscale.lake import NO_SOURCE, column_kinds, table_source
from gnnscale.query import PredictiveQuery
from gnnscale.schema import ValueKind, relation_links


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
