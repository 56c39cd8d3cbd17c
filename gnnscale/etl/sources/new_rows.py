"""New rows of the sources as raw tables, where they do nothing to a graph but extend it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from gnnscale.config import Settings
from gnnscale.etl.checks.checks import TableFigures, check_tables
from gnnscale.etl.checks.key_checks import check_keys
from gnnscale.etl.ids.key_columns import exact_cast, key_form
from gnnscale.etl.sources.graph_sources import GraphGrowth
from gnnscale.etl.sources.raw_tables import (
    TIME,
    RawTable,
    add_all_times,
    mentioned_keys,
    parent_times,
    parents_first,
)
from gnnscale.etl.spark.connect import SPARK_FAULTS
from gnnscale.etl.spark.delta_source import has_jvm_delta
from gnnscale.etl.spark.source_scan import scan_source
from gnnscale.lake import SourceFormat, open_rows
from gnnscale.query import epoch_seconds, show_time
from gnnscale.schema import GraphSchema, LakeError, Table

LONGEST = 2**31 - 1
"""Seconds that a graph spans at most."""


class NotGrownError(Exception):
    """The new rows don't just extend the graph; the message says why. The graph must be built in full."""


@dataclass(frozen=True)
class NewRows:
    """What came to each table.

    Args:
        raw: table -> its new rows, those of keys that only new events mention among them; only of tables that got any.
        figures: of the same tables, of the new rows alone.
        left_out: table -> rows of its source, old and new, that took no part for want of a dated parent.
    """

    raw: Mapping[str, RawTable]
    figures: Mapping[str, TableFigures]
    left_out: Mapping[str, int]


def read_new_rows(
    session: SparkSession, graph: GraphSchema, growth: GraphGrowth, nodes: Mapping[str, DataFrame], settings: Settings
) -> NewRows:
    """Read the new files of every table; the frames are cached.

    Args:
        session: Spark.
        graph: tables and links.
        growth: without obstacle.
        nodes: ``nodes_<table>`` of every table, as the graph has it.
        settings: ``graph.time_range`` counts.

    Raises:
        NotGrownError: a row has a key that is there already, is older than the graph's origin, or changes what old rows
            mean; or the columns are others.
        DataError: a time does not parse, or keys are missing or repeated within the new rows.
    """
    assert growth.before is not None and growth.manifest is not None
    options = settings.lake.storage_options
    frames = add_all_times(graph, {name: _new_frame(session, growth, name, options) for name in graph.tables})
    for table in graph.tables.values():
        if table.keys_from:
            frames[table.name] = _with_mentioned(table, frames, graph, nodes[table.name])
    came = {name: frame.count() for name, frame in frames.items() if frame_may_hold(growth, graph, name)}
    left_out = {name: source.left_out for name, source in growth.before.items()}
    for name in parents_first(graph):
        table = graph.table(name)
        parent = table.foreign_keys[table.time_from or ""]
        if left_out[name] and came.get(parent):
            raise NotGrownError(
                f"{left_out[name]:,} rows of '{name}' found no dated row of '{parent}', which has new rows"
            )
        frames[name] = _inherit_time(table, parent, frames, graph, nodes)
    raw = {name: RawTable(graph.table(name), frames[name].cache()) for name, rows in came.items() if rows}
    counts = {name: table.frame.count() for name, table in raw.items()}
    for name in parents_first(graph):
        left_out[name] += came.get(name, 0) - counts.get(name, 0)
    raw = {name: table for name, table in raw.items() if counts[name]}
    span = settings.graph.time_range
    check_keys(raw, [link for link in graph.links if link.table in raw])
    figures = check_tables(raw, (epoch_seconds(span[0]), epoch_seconds(span[1])) if span else None)
    _check_times(growth, figures)
    for name, new in raw.items():
        _check_keys(new, nodes[name])
    return NewRows(raw, figures, left_out)


def frame_may_hold(growth: GraphGrowth, graph: GraphSchema, name: str) -> bool:
    """Whether a table may have new rows: files of its own, or of tables that mention its keys."""
    assert growth.files is not None
    mentioning = {graph.link(link).table for link in graph.table(name).keys_from}
    return any(growth.files[table] for table in {name, *mentioning})


def _new_frame(session: SparkSession, growth: GraphGrowth, name: str, storage_options: Mapping[str, str]) -> DataFrame:
    """Rows of a table's new files, with the columns that the graph was built from, in their order."""
    assert growth.before is not None and growth.files is not None and growth.now is not None
    columns, files, snapshot = growth.before[name].columns, growth.files[name], growth.now[name]
    if not files:
        return session.createDataFrame([], columns)
    if snapshot.source.format is SourceFormat.DELTA and has_jvm_delta(session):
        raise NotGrownError(f"table '{name}': Spark reads Delta tables itself here, and not by their files")
    try:
        rows = open_rows(snapshot.source, storage_options, snapshot.version, set(files))
        frame = scan_source(session, rows)
    except (*SPARK_FAULTS, LakeError) as error:
        raise NotGrownError(f"table '{name}': its new files can't be read: {str(error).splitlines()[0]}") from None
    _check_columns(name, {f.name: f.dataType for f in frame.schema}, {f.name: f.dataType for f in columns})
    # Keys that only event tables mention may have widened the type of the key.
    return frame.select(*(F.col(f.name).cast(f.dataType) for f in columns))


def _check_columns(name: str, found: Mapping[str, T.DataType], known: Mapping[str, T.DataType]) -> None:
    for column in sorted(found.keys() ^ known.keys()):
        raise NotGrownError(
            f"table '{name}': column '{column}' is {'new' if column in found else 'missing'} in its files"
        )
    for column, physical in found.items():
        whole = isinstance(physical, T.IntegralType) and isinstance(known[column], T.IntegralType)
        if not whole and physical.simpleString() != known[column].simpleString():
            raise NotGrownError(
                f"table '{name}': column '{column}' was {known[column].simpleString()} and is "
                f"{physical.simpleString()} in its new files"
            )


def _with_mentioned(table: Table, frames: Mapping[str, DataFrame], graph: GraphSchema, nodes: DataFrame) -> DataFrame:
    """The new rows of a table and one for each key that new events mention and that no row has, old or new."""
    key, frame = table.primary_key or "", frames[table.name]
    mentioned = None
    for name in table.keys_from:
        keys = mentioned_keys(frames, graph.link(name), frame.schema[key].dataType, key)
        mentioned = keys if mentioned is None else mentioned.unionByName(keys)
    assert mentioned is not None
    missing = mentioned.distinct().join(frame.select(key), key, "left_anti")
    known = exact_cast(F.col("key"), nodes.schema["key"].dataType, frame.schema[key].dataType)
    missing = missing.join(nodes.select(known.alias(key)), key, "left_anti")
    return frame.unionByName(missing, allowMissingColumns=True)


def _inherit_time(
    table: Table, parent: str, frames: Mapping[str, DataFrame], graph: GraphSchema, nodes: Mapping[str, DataFrame]
) -> DataFrame:
    """As a full build does it, from new parents and from those that are there."""
    through = table.time_from or ""
    wanted = frames[table.name].schema[through].dataType
    new = parent_times(frames[parent], graph.table(parent).primary_key or "", through, wanted)
    known = exact_cast(F.col("key"), nodes[parent].schema["key"].dataType, wanted)
    old = nodes[parent].select(known.alias(through), F.col("time").alias(TIME))
    return frames[table.name].drop(TIME).join(new.unionByName(old).dropna(), through)


def _check_times(growth: GraphGrowth, figures: Mapping[str, TableFigures]) -> None:
    assert growth.manifest is not None
    origin, dated = growth.manifest.origin, any(growth.manifest.time_ranges.values())
    for name, found in figures.items():
        if found.time_range is None:
            continue
        if not dated:
            raise NotGrownError(f"table '{name}': its new rows are the first that have a time")
        if min(first for first, _ in filter(None, growth.manifest.time_ranges.values())) < origin:
            raise NotGrownError(
                "its times are more than 68 years apart, and which of them are told apart goes by the last"
            )
        if found.time_range[0] < origin:
            raise NotGrownError(
                f"table '{name}': a new row is of {show_time(found.time_range[0])}, before the graph begins at "
                f"{show_time(origin)}"
            )
        if found.time_range[1] - origin >= LONGEST:
            raise NotGrownError(
                f"table '{name}': a new row is of {show_time(found.time_range[1])}, 68 years after the first"
            )


def _check_keys(new: RawTable, nodes: DataFrame) -> None:
    key = new.table.primary_key
    if key is None:
        return
    physical = nodes.schema["key"].dataType
    known = nodes.select(key_form(F.col("key"), physical, physical).alias(key))
    came = new.frame.select(key_form(F.col(key), new.frame.schema[key].dataType, physical).alias(key))
    updates = came.join(known, key).count()
    if updates:
        raise NotGrownError(f"table '{new.table.name}': {updates:,} new rows have a key that is there already")
