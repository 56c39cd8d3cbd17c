"""What can be checked in a second, before Spark is started: sources, columns, links and the query."""

from __future__ import annotations

from gnnscale.config import Settings, build_graph_schema
from gnnscale.lake import column_names, find_source
from gnnscale.query import PredictiveQuery
from gnnscale.schema import SchemaError
from gnnscale.schema.errors import nearest


def check_inputs(settings: Settings) -> PredictiveQuery:
    """See that every table is there, has the columns that the configuration names, and suits the query.

    Returns:
        The query, bound to the graph with the links that the column names give away.

    Raises:
        LakeError: a source is missing.
        SchemaError: a column is missing, or the links don't make a graph.
        QueryError: the query does not fit.
    """
    graph = build_graph_schema(settings)
    options = settings.lake.storage_options
    columns = {}
    for table in graph.tables.values():
        names = column_names(find_source(table.name, table.source, options), options)
        for column in sorted(table.named_columns - set(names)):
            raise SchemaError(f"table '{table.name}' has no column '{column}'.{nearest(column, names)}")
        columns[table.name] = names
    graph.infer_links(columns)
    graph.validate()
    return PredictiveQuery(graph, settings.query.text)
