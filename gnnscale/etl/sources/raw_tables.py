"""Raw tables as Spark frames: columns checked, missing keys added, times in whole seconds."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from gnnscale.etl.derived.derive_rows import derived_rows
from gnnscale.etl.ids.key_columns import exact_cast, is_missing, key_kind
from gnnscale.etl.sources.read_times import refuse_faulty, seconds_of
from gnnscale.etl.spark.connect import SPARK_FAULTS
from gnnscale.etl.spark.delta_source import has_jvm_delta, read_delta
from gnnscale.etl.spark.side_by_side import run_side_by_side
from gnnscale.etl.spark.source_scan import scan_source
from gnnscale.lake import NO_SOURCE, Source, SourceFormat, SourceSnapshot, snapshot_rows, table_source
from gnnscale.schema import (
    RESERVED,
    DataError,
    GraphSchema,
    LakeError,
    Link,
    SchemaError,
    Table,
    ValueKind,
    nearest,
)

log = logging.getLogger(__name__)

TIME = f"{RESERVED}time"
"""Column that holds when a row came to be known: epoch seconds, rounded up; null for rows that always hold."""

END = f"{RESERVED}end"
"""Column that holds from when on a row no longer holds, as ``TIME``; null for rows that still do."""


@dataclass(frozen=True)
class RawTable:
    """A raw table and its rows; ``frame`` has the raw columns and ``TIME``."""

    table: Table
    frame: DataFrame


def column_kinds(frame: DataFrame) -> dict[str, ValueKind]:
    """What the values of each raw column are."""
    return {field.name: value_kind(field.dataType) for field in frame.schema if field.name not in (TIME, END)}


def value_kind(physical: T.DataType) -> ValueKind:
    """What the values of a type are."""
    if isinstance(physical, T.StringType):
        return ValueKind.TEXT
    if isinstance(physical, T.BooleanType):
        return ValueKind.BOOLEAN
    if isinstance(physical, T.TimestampType | T.TimestampNTZType | T.DateType):
        return ValueKind.TIME
    if isinstance(physical, T.ArrayType):
        lists = {T.StringType: ValueKind.TEXTS, T.FloatType: ValueKind.VECTOR, T.DoubleType: ValueKind.VECTOR}
        return lists.get(type(physical.elementType), ValueKind.OTHER)
    return ValueKind.NUMBER if isinstance(physical, T.NumericType) else ValueKind.OTHER


def find_sources(graph: GraphSchema, storage_options: Mapping[str, str]) -> dict[str, Source]:
    """Where each table's rows are.

    Raises:
        LakeError: a file, folder or package is missing.
    """
    return {t.name: table_source(t, dict(storage_options)) for t in graph.tables.values()}


def read_raw_tables(
    session: SparkSession,
    graph: GraphSchema,
    sources: Mapping[str, Source],
    storage_options: Mapping[str, str],
    snapshots: Mapping[str, SourceSnapshot] | None = None,
) -> dict[str, RawTable]:
    """Read every table and infer the links that the column names give away.

    Args:
        session: Spark.
        graph: gets the links.
        sources: where each table's rows are.
        storage_options: as delta-rs names them.
        snapshots: what of the sources is read; default: what they hold now.

    Raises:
        SchemaError: a declared column does not exist, or the links don't make a graph.
        DataError: a time does not parse or is missing.
        LakeError: a source is not readable.
    """
    frames: dict[str, DataFrame] = {}
    # Tables of keys alone come last: the tables that mention these tell their type.
    for table in sorted(graph.tables.values(), key=lambda t: (sources[t.name] == NO_SOURCE, t.derived is None)):
        if table.derived is not None:
            frames[table.name] = derived_rows(table, frames, graph)
            continue
        if sources[table.name] == NO_SOURCE:
            frames[table.name] = _keys_alone(session, table, frames)
            continue
        snapshot = (snapshots or {}).get(table.name)
        frame = read_source(session, table.name, sources[table.name], dict(storage_options), snapshot)
        frames[table.name] = _without_maps(table.name, frame)
        table.check_columns(frames[table.name].columns)
    graph.infer_links({name: frame.columns for name, frame in frames.items()})
    graph.validate()
    timed = add_all_times(graph, frames)
    check_key_types(timed, graph)
    whole = {t.name: _add_keys(t, timed, graph) for t in graph.tables.values()}
    for name in parents_first(graph):
        whole[name] = _inherit_time(graph.table(name), whole, graph)
    return {t.name: RawTable(t, whole[t.name]) for t in graph.tables.values()}


def _without_maps(table: str, frame: DataFrame) -> DataFrame:
    """Maps have no hash, by which rows are compared and put in order."""
    maps = [field.name for field in frame.schema if "map<" in field.dataType.simpleString()]
    if maps:
        log.warning("table '%s': left out are columns of maps: %s", table, ", ".join(maps))
    return frame.drop(*maps)


def _keys_alone(session: SparkSession, table: Table, frames: Mapping[str, DataFrame]) -> DataFrame:
    """A frame without rows, to which those keys come that others mention."""
    place, _, column = table.keys_from[0].partition(".")
    if place not in frames or column not in frames[place].columns:
        known = [f"{name}.{found}" for name, frame in frames.items() for found in frame.columns]
        raise SchemaError(
            f"table '{table.name}': keys_from '{table.keys_from[0]}' is no column.{nearest(column, known)}"
        )
    field = T.StructField(table.primary_key or "", frames[place].schema[column].dataType)
    return session.createDataFrame([], T.StructType([field]))


def parents_first(graph: GraphSchema) -> list[str]:
    """Tables that take their time from a parent, each after that parent.

    Raises:
        SchemaError: the parent has no time, or the tables take their times from each other.
    """
    order: list[str] = []

    def visit(table: Table, through: tuple[str, ...]) -> None:
        if not table.time_from or table.name in order:
            return
        if table.name in through:
            raise SchemaError(f"tables {' and '.join(through)} take their time from each other")
        parent = graph.table(table.foreign_keys[table.time_from])
        if not (parent.time_column or parent.time_from):
            raise SchemaError(f"table '{table.name}': time_from '{table.time_from}', but '{parent.name}' has no time")
        visit(parent, (*through, table.name))
        order.append(table.name)

    for table in graph.tables.values():
        visit(table, ())
    return order


def check_key_types(frames: Mapping[str, DataFrame], graph: GraphSchema) -> None:
    """See that every key is of a type that keys can have, and both ends of every link are of one kind.

    Raises:
        DataError: a column can hold no keys, or a link joins, say, text to numbers, which would match nothing or by
            accident.
    """
    for table in graph.tables.values():
        if table.primary_key:
            _kind_of_key(frames[table.name], table.name, table.primary_key, "primary key")
    for link in graph.links:
        parent_key = graph.table(link.parent).primary_key or ""
        child = _kind_of_key(frames[link.table], link.table, link.column, "foreign key")
        if child != _kind_of_key(frames[link.parent], link.parent, parent_key, "primary key"):
            types = frames[link.table].schema[link.column].dataType, frames[link.parent].schema[parent_key].dataType
            raise DataError(
                f"foreign key {link.name} is {types[0].simpleString()} and {link.parent}.{parent_key} is "
                f"{types[1].simpleString()}; both must be of one type"
            )


def _kind_of_key(frame: DataFrame, table: str, column: str, what: str) -> str:
    physical = frame.schema[column].dataType
    kind = key_kind(physical)
    if kind is None:
        raise DataError(
            f"{what} {table}.{column} is {physical.simpleString()}; keys are numbers, text, binary, dates, times or "
            "truth values"
        )
    return kind


def read_source(
    session: SparkSession, name: str, source: Source, storage_options: dict[str, str], snapshot: SourceSnapshot | None
) -> DataFrame:
    """The rows of table ``name`` as they are in its source, at the moment of a snapshot where there is one.

    Raises:
        LakeError: they can't be read.
    """
    try:
        if source.format is SourceFormat.DELTA and has_jvm_delta(session):
            return read_delta(session, source.uri, storage_options, snapshot.version if snapshot else None)
        return scan_source(session, snapshot_rows(source, storage_options, snapshot))
    except (*SPARK_FAULTS, LakeError) as error:
        raise LakeError(f"table '{name}': {_headline(error)}") from None


def add_all_times(graph: GraphSchema, frames: Mapping[str, DataFrame]) -> dict[str, DataFrame]:
    """As :func:`add_times`, of every table."""
    works = [partial(add_times, table, frames[table.name]) for table in graph.tables.values()]
    return dict(zip(graph.tables, run_side_by_side(works), strict=True))


def add_times(table: Table, frame: DataFrame) -> DataFrame:
    """The rows with ``TIME`` and, where they may end, ``END``.

    Raises:
        DataError: a time does not parse or is missing.
    """
    return _add_end(table, _add_time(table, frame))


def _add_time(table: Table, frame: DataFrame) -> DataFrame:
    if not table.time_column:
        return frame.withColumn(TIME, F.lit(None).cast("long"))
    frame = frame.withColumn(TIME, seconds_of(frame, table, table.time_column))
    refuse_faulty(frame.where(F.col(TIME).isNull()), table, table.time_column)
    return frame


def _add_end(table: Table, frame: DataFrame) -> DataFrame:
    if not table.end_time:
        return frame
    frame = frame.withColumn(END, seconds_of(frame, table, table.end_time))
    refuse_faulty(frame.where(F.col(END).isNull() & F.col(table.end_time).isNotNull()), table, table.end_time)
    return frame


def _add_keys(table: Table, frames: Mapping[str, DataFrame], graph: GraphSchema) -> DataFrame:
    frame = frames[table.name]
    if not table.keys_from:
        return frame.cache() if table.derived else frame
    key = table.primary_key or ""
    mentioned = None
    for name in table.keys_from:
        keys = mentioned_keys(frames, graph.link(name), frame.schema[key].dataType, key)
        mentioned = keys if mentioned is None else mentioned.unionByName(keys)
    assert mentioned is not None
    missing = mentioned.distinct().join(frame.select(key), key, "left_anti")
    # Each of the checks that follow would read the event tables again for their keys.
    return frame.unionByName(missing, allowMissingColumns=True).cache()


def _inherit_time(table: Table, frames: Mapping[str, DataFrame], graph: GraphSchema) -> DataFrame:
    frame = frames[table.name]
    if not table.time_from:
        return frame
    parent = graph.table(table.foreign_keys[table.time_from])
    # Rows without a dated parent have no date themselves, so no anchor may see them: the join leaves them out.
    wanted = frame.schema[table.time_from].dataType
    times = parent_times(frames[parent.name], parent.primary_key or "", table.time_from, wanted).dropna()
    return frame.drop(TIME).join(times, table.time_from)


def mentioned_keys(frames: Mapping[str, DataFrame], link: Link, wanted: T.DataType, key: str) -> DataFrame:
    """The keys that a link's rows mention, in column ``key``, each of them one that the parent could have.

    Args:
        frames: the rows of every table.
        link: to the parent.
        wanted: type of the parent's primary key; of whole numbers the wider type stays.
        key: name of the result's column.
    """
    column, physical = F.col(link.column), frames[link.table].schema[link.column].dataType
    whole = isinstance(physical, T.IntegralType) and isinstance(wanted, T.IntegralType)
    found = column if whole else exact_cast(column, physical, wanted)
    return frames[link.table].select(found.alias(key)).where(~is_missing(F.col(key), wanted))


def parent_times(parents: DataFrame, key: str, column: str, wanted: T.DataType) -> DataFrame:
    """Keys of a parent as the values of a foreign key, and their times.

    Args:
        parents: the parent's rows.
        key: its primary key.
        column: the foreign key, which the result's column is called as.
        wanted: type of the foreign key.
    """
    physical = parents.schema[key].dataType
    whole = isinstance(physical, T.IntegralType) and isinstance(wanted, T.IntegralType)
    value = F.col(key) if whole else exact_cast(F.col(key), physical, wanted)
    return parents.select(value.alias(column), TIME)


def _headline(error: Exception) -> str:
    return str(error).splitlines()[0]
