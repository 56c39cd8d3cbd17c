"""The graph stage: raw tables to ids, nodes, edges and a manifest in the lake."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.pandas.types import to_arrow_type

from gnnscale.config import Settings, build_graph_schema, plan_query_anchors
from gnnscale.config.binding import graph_origin
from gnnscale.config.relations import declared_relations
from gnnscale.etl.checks import TableFigures, check_windows
from gnnscale.etl.conditions import RAW
from gnnscale.etl.edge_readers import scan_files
from gnnscale.etl.edge_sort import write_sorted_edges
from gnnscale.etl.edges import UNDATED, LinkEdges
from gnnscale.etl.features import encode_features, feature_types, fit_features
from gnnscale.etl.ids import NODE_ID, add_node_ids
from gnnscale.etl.key_columns import find_nodes, key_form
from gnnscale.etl.key_ids import FrameKeys, key_map, write_ids
from gnnscale.etl.key_lookup import KeyMap
from gnnscale.etl.list_columns import encode_lists
from gnnscale.etl.node_column import NodeColumn
from gnnscale.etl.raw import END, TIME, RawTable, column_kinds, find_sources, read_raw_tables
from gnnscale.etl.relations import write_relations
from gnnscale.etl.scan import ParquetScan
from gnnscale.etl.tables import write_table
from gnnscale.etl.text import TextEncoder, open_encoder
from gnnscale.etl.thresholds import check_rows
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery
from gnnscale.query.anchors import epoch_seconds, show_time
from gnnscale.schema import (
    ColumnType,
    EdgeType,
    FeatureManifest,
    Graph,
    GraphManifest,
    LinkManifest,
    Table,
    TableManifest,
    ValueKind,
    relation_links,
)
from gnnscale.schema.manifest import MANIFEST_NAME

log = logging.getLogger(__name__)


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
    raw = read_raw_tables(session, graph, find_sources(graph, options), options)
    log.info("links: %s", ", ".join(f"{link.name} -> {link.parent}" for link in graph.links))
    links_found = graph.links
    graph = build_graph_schema(settings, {name: column_kinds(table.frame) for name, table in raw.items()})
    for link in links_found:
        graph.add_link(link.table, link.column, link.parent)
    query = PredictiveQuery(graph, settings.query.text)
    relations = declared_relations(settings.relations)
    relation_links(relations, graph)
    figures, links, isolated = check_rows(raw, graph, settings.graph)
    plan = plan_query_anchors(settings, query, {name: f.time_range for name, f in figures.items()})
    for name in query.timed_facts:
        check_windows(raw[name], plan)
    fit_until = _fit_until(settings, figures)
    log.info("statistics of the columns count what is known by %s", show_time(fit_until))
    types = {name: feature_types(table, graph) for name, table in raw.items()}
    encoder = open_encoder(settings.graph.text)
    # A model is not read where no column is text.
    dims = encoder.dims if any(ColumnType.TEXT in kinds.values() for kinds in types.values()) else 0
    features = {
        name: fit_features(table, types[name], fit_until, settings.graph.max_categories, dims)
        for name, table in raw.items()
    }
    log.info("checked %d tables and %d links; writing to %s", len(raw), len(links), lake.uri)

    ranges = int(session.conf.get("spark.sql.shuffle.partitions") or 1)
    cache = settings.lake.cache or (f"{lake.uri}/_store" if lake.local else None)
    ids = {name: _write_ids(lake, raw[name], figures[name].rows, cache) for name in raw if raw[name].table.primary_key}
    keys = {name: raw[name].frame.schema[raw[name].table.primary_key or ""].dataType for name in ids}
    versions = {name: _write_nodes(lake, raw[name], graph, features[name], ids, keys, ranges, encoder) for name in raw}
    origin = graph_origin({name: f.time_range for name, f in figures.items()})
    dated = {name for name in ids if figures[name].time_range is not None}
    times = {
        name: NodeColumn.of_table(lake, name, "time", figures[name].rows, UNDATED, cache) if name in dated else None
        for name in ids
    }
    written = [_write_edges(session, lake, link, times[link.parent], origin) for link in links]
    timed = {name for name, f in figures.items() if f.time_range}
    derived = write_relations(session, lake, graph, relations, timed, origin)
    tables = tuple(
        TableManifest(
            name,
            figures[name].rows,
            figures[name].time_range,
            features[name],
            versions[name],
            dict(graph.table(name).kinds),
            graph.table(name).end_time is not None,
            figures[name].duplicates,
            figures[name].out_of_range,
            isolated[name],
        )
        for name in raw
    )
    manifest = GraphManifest(tables, tuple(written), origin, fit_until, derived)
    lake.write_record(MANIFEST_NAME, manifest.to_dict())
    for table in raw.values():
        table.frame.unpersist()
    return manifest


def _write_ids(lake: Lake, raw: RawTable, rows: int, cache: str | None) -> KeyMap:
    """Ids of a table's keys; those that the lake has stand."""
    table, key = raw.table, raw.table.primary_key or ""
    physical = raw.frame.schema[key].dataType
    frame = raw.frame.select(key_form(F.col(key), physical, physical).alias("key"))
    known = None
    if lake.exists(f"ids_{table.name}"):
        kept = lake.open(f"ids_{table.name}").schema().to_arrow()
        known = (
            key_map(lake, table.name, cache) if pa.schema(kept).field("key").type == to_arrow_type(physical) else None
        )
    return write_ids(lake, table.name, frame, FrameKeys(), to_arrow_type(physical), rows, cache, known)


def _write_nodes(
    lake: Lake,
    raw: RawTable,
    graph: Graph,
    features: tuple[FeatureManifest, ...],
    ids: Mapping[str, KeyMap],
    keys: Mapping[str, T.DataType],
    ranges: int,
    encoder: TextEncoder,
) -> int:
    table, types = raw.table, raw.frame.schema
    if table.primary_key:
        key, physical = table.primary_key, types[table.primary_key].dataType
        frame = raw.frame.withColumn(NODE_ID, find_nodes(ids[table.name], key_form(F.col(key), physical, physical)))
    else:
        frame = add_node_ids(raw, ranges)
    columns = [F.col(NODE_ID), F.col(TIME).alias("time")]
    if table.end_time:
        columns.append(F.col(END).alias("end_time"))
    if table.primary_key:
        columns.append(F.col(table.primary_key).alias("key"))
    for link in graph.links:
        if link.table == table.name:
            form = key_form(F.col(link.column), types[link.column].dataType, keys[link.parent])
            columns.append(find_nodes(ids[link.parent], form).alias(f"fk_{link.column}"))
    if table.display:
        words = [F.col(column).cast("string") for column in table.display]
        columns.append(F.concat_ws(", ", *words).alias("display"))
    kept = _kept(graph, table)
    frame = frame.select("*", *(_plain(frame, column).alias(f"{RAW}{column}") for column in kept))
    columns += [F.col(f"{RAW}{column}") for column in kept]
    encoded = encode_features(frame, features, columns)
    ordered = encoded.repartitionByRange(NODE_ID).sortWithinPartitions(NODE_ID)
    # Ranges are found by a look at all rows, for which no text should be encoded.
    nodes = encode_lists(ordered, features, encoder)
    version = write_table(lake, f"nodes_{table.name}", nodes)
    log.info("nodes_%s: %d columns", table.name, len(nodes.columns))
    return version


def _kept(graph: Graph, table: Table) -> list[str]:
    """Columns whose values queries may ask for; the primary key has a column of its own."""
    kinds = graph.table(table.name).kinds
    return [name for name, kind in kinds.items() if kind is not ValueKind.OTHER and name != table.primary_key]


def _plain(frame: DataFrame, name: str) -> Column:
    """The value as labels use it: decimals as doubles, every time as a timestamp, NaN as missing."""
    column, physical = F.col(name), frame.schema[name].dataType
    if isinstance(physical, T.DecimalType):
        return column.cast("double")
    if isinstance(physical, T.DoubleType | T.FloatType):
        return F.when(~F.isnan(column), column)
    if isinstance(physical, T.DateType | T.TimestampNTZType):
        return column.cast("timestamp")
    return column.cast("string") if isinstance(physical, T.StringType) else column


def _fit_until(settings: Settings, figures: Mapping[str, TableFigures]) -> int:
    if settings.graph.fit_until is not None:
        return epoch_seconds(settings.graph.fit_until)
    spans = [f.time_range for f in figures.values() if f.time_range]
    if not spans:
        return 0
    first, last = min(start for start, _ in spans), max(end for _, end in spans)
    return last - (last - first) // 5


def _write_edges(
    session: SparkSession, lake: Lake, link: LinkManifest, parents: NodeColumn | None, origin: int
) -> LinkManifest:
    files = ParquetScan.of_table(lake, f"nodes_{link.table}", session.sparkContext.defaultParallelism)
    scan = scan_files(session, files, LinkEdges(files, link.column, origin, parents))
    forward, backward = (
        write_sorted_edges(lake, EdgeType(link.link, reverse).table_name, scan, origin, reverse)
        for reverse in (False, True)
    )
    log.info("edges %s.%s -> %s: %s", link.table, link.column, link.parent, f"{link.edges:,}")
    return replace(link, version=forward.version, reverse_version=backward.version)
