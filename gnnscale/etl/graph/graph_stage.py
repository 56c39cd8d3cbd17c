"""The graph stage: raw tables to ids, nodes, edges and a manifest in the lake."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TypeVar

from pyspark.sql import SparkSession

from gnnscale.config import (
    Settings,
    build_graph_schema,
    configured_query,
    declared_relations,
    graph_origin,
    plan_query_anchors,
)
from gnnscale.etl.checks.checks import check_windows
from gnnscale.etl.checks.thresholds import check_rows
from gnnscale.etl.edges.edge_readers import scan_files
from gnnscale.etl.edges.edge_sort import write_sorted_edges
from gnnscale.etl.edges.write_edges import UNDATED, LinkEdges
from gnnscale.etl.ids.node_column import NodeColumn
from gnnscale.etl.nodes.column_features import feature_types, fit_features
from gnnscale.etl.nodes.fit_period import TimedRows, fit_periods
from gnnscale.etl.nodes.identifiers import without_identifiers
from gnnscale.etl.nodes.write_nodes import TableKeys, node_frame, number_keys, raw_keys
from gnnscale.etl.relations.derive_relations import write_relations
from gnnscale.etl.sources.graph_sources import count_left_out, read_sources, record_graph
from gnnscale.etl.sources.raw_tables import RawTable, column_kinds, find_sources, read_raw_tables
from gnnscale.etl.spark.connect import task_slots
from gnnscale.etl.spark.parquet_scan import ParquetScan
from gnnscale.etl.spark.side_by_side import run_side_by_side
from gnnscale.etl.spark.write_tables import write_table
from gnnscale.etl.text import open_encoder
from gnnscale.lake import Lake, take_snapshot
from gnnscale.query import epoch_seconds, show_time
from gnnscale.schema import (
    ColumnType,
    EdgeType,
    FeatureManifest,
    GraphManifest,
    LinkManifest,
    TableManifest,
    relation_links,
)

log = logging.getLogger(__name__)

Result = TypeVar("Result")


def build_graph(session: SparkSession, lake: Lake, settings: Settings) -> GraphManifest:
    """Read, check, number, encode and link every table of the configuration.

    Nothing is written before every check has passed.

    Returns:
        What was built; also kept in the lake as record ``graph``.

    Raises:
        LakeError, SchemaError, DataError, QueryError: the input is at fault; no table has changed.
    """
    graph = build_graph_schema(settings)
    options = settings.lake.storage_options
    sources = find_sources(graph, options)
    snapshots = {name: take_snapshot(source, options) for name, source in sources.items()}
    raw = read_raw_tables(session, graph, sources, options, snapshots)
    log.info("links: %s", ", ".join(f"{link.name} -> {link.parent}" for link in graph.links))
    links_found = graph.links
    graph = build_graph_schema(settings, {name: column_kinds(table.frame) for name, table in raw.items()})
    for link in links_found:
        graph.add_link(link.table, link.column, link.parent)
    query = configured_query(settings, graph)
    relations = declared_relations(settings.relations)
    relation_links(relations, graph)
    figures, links, isolated = check_rows(raw, graph, settings.graph)
    spans = {name: figure.time_range for name, figure in figures.items()}
    plan = plan_query_anchors(settings, query, spans, {name: figure.rows for name, figure in figures.items()})
    for name in query.timed_event_tables:
        check_windows(raw[name], plan)
    timed_rows = {name: TimedRows(f.rows, *f.time_range) for name, f in figures.items() if f.time_range}
    given = settings.graph.fit_until
    fit_until, periods = fit_periods(timed_rows, epoch_seconds(given) if given else None)
    log.info("statistics of the columns count what is known by %s", show_time(fit_until))
    types = _by_table(raw, lambda name, table: without_identifiers(table, feature_types(table, graph)))
    encoder = open_encoder(settings.graph.text)
    # A model is not read where no column is text.
    dims = encoder.dims if any(ColumnType.TEXT in kinds.values() for kinds in types.values()) else 0
    most = settings.graph.max_categories
    hidden = {name: {column for table, column in query.hidden_columns if table == name} for name in raw}

    def fit(name: str, table: RawTable) -> tuple[FeatureManifest, ...]:
        until = periods.get(name, fit_until)
        return fit_features(table, types[name], until, most, dims, hidden[name], figures[name].rows)

    features = _by_table(raw, fit)
    log.info("checked %d tables and %d links; writing to %s", len(raw), len(links), lake.uri)

    cache = lake.cache_folder(settings.lake.cache)
    rows = {name: table.rows for name, table in figures.items()}
    keyed = {name: table for name, table in raw.items() if table.table.primary_key}
    keys = _by_table(keyed, lambda name, table: _number(lake, table, rows[name], cache))

    def write_nodes(name: str, table: RawTable) -> int:
        return write_table(lake, f"nodes_{name}", node_frame(table, graph, features[name], keys, rows[name], encoder))

    versions = _by_table(raw, write_nodes)
    origin = graph_origin(spans)
    dated = {name for name in keys if figures[name].time_range is not None}
    times = {
        name: NodeColumn.of_table(lake, name, "time", keys[name].count, UNDATED, cache) if name in dated else None
        for name in keys
    }
    written = run_side_by_side([partial(_write_edges, session, lake, k, times[k.parent], origin) for k in links])
    timed = {name for name, f in figures.items() if f.time_range}
    derived = write_relations(session, lake, graph, relations, timed, origin)
    tables = tuple(
        TableManifest(
            name,
            keys[name].count if name in keys else figures[name].rows,
            figures[name].time_range,
            features[name],
            versions[name],
            dict(graph.table(name).kinds),
            graph.table(name).end_time is not None,
            figures[name].duplicates,
            figures[name].out_of_range,
            isolated[name],
            len(keys[name].deleted) if name in keys else 0,
        )
        for name in raw
    )
    # What a query is told of is the latest that any table's statistics know.
    manifest = GraphManifest(tables, tuple(written), origin, max([fit_until, *periods.values()]), derived)
    left = {name: count_left_out(session, raw[name], snapshots[name], options, figures[name].rows) for name in raw}
    record_graph(lake, settings, manifest, read_sources(raw, snapshots, left))
    for raw_table in raw.values():
        raw_table.frame.unpersist()
    return manifest


def _by_table(raw: Mapping[str, RawTable], work: Callable[[str, RawTable], Result]) -> dict[str, Result]:
    """Table -> what the work on it has returned."""
    return dict(zip(raw, run_side_by_side([partial(work, name, table) for name, table in raw.items()]), strict=True))


def _number(lake: Lake, table: RawTable, rows: int, cache: str | None) -> TableKeys:
    name, key = table.table.name, table.table.primary_key or ""
    return raw_keys(lake, table, number_keys(lake, name, table.frame, key, rows, cache), rows)


def _write_edges(
    session: SparkSession, lake: Lake, link: LinkManifest, parents: NodeColumn | None, origin: int
) -> LinkManifest:
    files = ParquetScan.of_table(lake, f"nodes_{link.table}", task_slots(session))
    scan = scan_files(session, files, LinkEdges(files, link.column, origin, parents))
    forward, backward = (
        write_sorted_edges(lake, EdgeType(link.link, reverse).table_name, scan, origin, reverse)
        for reverse in (False, True)
    )
    log.info("edges %s.%s -> %s: %s", link.table, link.column, link.parent, f"{link.edges:,}")
    return replace(link, version=forward.version, reverse_version=backward.version)
