"""Nodes of a table: ids, links to parents, values as they came, and encoded features."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.pandas.types import to_arrow_type

from gnnscale.etl.ids.assign_ids import NODE_ID, ROW_ID, add_node_ids
from gnnscale.etl.ids.key_columns import exact_cast, find_nodes, key_form, key_type
from gnnscale.etl.ids.key_ids import FrameKeys, key_map, write_ids
from gnnscale.etl.ids.key_lookup import KeyMap
from gnnscale.etl.labels.condition_columns import RAW
from gnnscale.etl.nodes.column_features import encode_features
from gnnscale.etl.nodes.list_columns import encode_lists
from gnnscale.etl.sources.raw_tables import END, TIME, RawTable
from gnnscale.etl.spark.write_tables import read_table
from gnnscale.etl.text import TextVectors
from gnnscale.lake import Lake
from gnnscale.schema import NESTED, FeatureManifest, GraphSchema, Table

log = logging.getLogger(__name__)

DOUBLE_DIGITS = 15
"""Digits up to which a decimal and the double nearest to it tell each other."""

PART_ROWS = 500_000
"""Rows of a file of ``nodes_<table>``, about."""


@dataclass(frozen=True)
class TableKeys:
    """The keys of a table and their node ids.

    Args:
        ids: of every key that the table has, or once had.
        physical: type of the primary key.
        count: ids there are.
        deleted: ids of keys that the table has no longer, which nothing may refer to: int64 ``[deleted]``, ascending.
    """

    ids: KeyMap
    physical: T.DataType
    count: int
    deleted: NDArray[np.int64]

    def find(self, keys: Column, physical: T.DataType) -> Column:
        """Node ids (int64) of a column of that type; null where the table has no such key."""
        return find_nodes(self.ids, key_form(keys, physical, self.physical), self.deleted)


def number_keys(lake: Lake, table: str, frame: DataFrame, key: str, rows: int, cache: str | None) -> KeyMap:
    """Ids of a table's keys; those that the lake has stand.

    Args:
        lake: gets ``ids_<table>``.
        table: its name.
        frame: has the keys in column ``key``.
        rows: of the frame, about.
        cache: folder on a local disk.
    """
    physical = frame.schema[key].dataType
    keys = frame.select(key_form(F.col(key), physical, physical).alias("key"))
    arrow = to_arrow_type(key_type(physical), timezone="UTC")
    known = None
    if lake.exists(f"ids_{table}"):
        kept = lake.open(f"ids_{table}").schema().to_arrow()
        known = key_map(lake, table, cache) if pa.schema(kept).field("key").type == arrow else None
    return write_ids(lake, table, keys, FrameKeys(), arrow, rows, cache, known)


def table_keys(lake: Lake, table: str, ids: KeyMap, physical: T.DataType, live: DataFrame, rows: int) -> TableKeys:
    """The keys of a table, told apart from those that it once had.

    Args:
        lake: holds ``ids_<table>``.
        table: its name.
        ids: of all keys.
        physical: type of the primary key.
        live: node ids of the keys that the table has, in column ``node_id``; read only where some are gone.
        rows: how many those are.
    """
    count = lake.open(f"ids_{table}").to_pyarrow_dataset().count_rows()
    deleted = np.empty(0, np.int64)
    if count > rows:
        reserved = read_table(live.sparkSession, lake, f"ids_{table}").select(NODE_ID)
        left = reserved.join(live, NODE_ID, "left_anti").toArrow()
        deleted = np.sort(left[NODE_ID].to_numpy())
        log.info("%s: %s ids stay reserved for keys that the table has no longer", table, f"{len(deleted):,}")
    return TableKeys(ids, physical, count, deleted)


def raw_keys(lake: Lake, raw: RawTable, ids: KeyMap, rows: int) -> TableKeys:
    """As :func:`table_keys`, of a table whose raw rows are all at hand."""
    key = raw.table.primary_key or ""
    physical = raw.frame.schema[key].dataType
    live = raw.frame.select(find_nodes(ids, key_form(F.col(key), physical, physical)).alias(NODE_ID))
    return table_keys(lake, raw.table.name, ids, physical, live, rows)


def node_frame(
    raw: RawTable,
    graph: GraphSchema,
    features: tuple[FeatureManifest, ...],
    keys: Mapping[str, TableKeys],
    rows: int,
    encoder: TextVectors,
    first: int = 0,
) -> DataFrame:
    """Rows of ``nodes_<table>``, in order of node id, of which each partition holds a range.

    Args:
        raw: the rows.
        graph: tables and links.
        features: of the table.
        keys: of every table that has a primary key.
        rows: their number.
        encoder: of text columns.
        first: id of the first row that is new.
    """
    table, types = raw.table, raw.frame.schema
    parts = -(-rows // PART_ROWS)
    if table.primary_key:
        own = keys[table.name].find(F.col(table.primary_key), types[table.primary_key].dataType)
        frame = raw.frame.withColumn(ROW_ID, own)
    else:
        frame = add_node_ids(raw, parts)
        frame = frame.withColumn(ROW_ID, F.col(ROW_ID) + F.lit(first)) if first else frame
    columns = [F.col(ROW_ID).alias(NODE_ID), F.col(TIME).alias("time")]
    if table.end_time:
        columns.append(F.col(END).alias("end_time"))
    if table.primary_key:
        physical = types[table.primary_key].dataType
        columns.append(exact_cast(F.col(table.primary_key), physical, key_type(physical)).alias("key"))
    for link in graph.links:
        if link.table == table.name:
            parents = keys[link.parent].find(F.col(link.column), types[link.column].dataType)
            columns.append(parents.alias(f"fk_{link.column}"))
    if table.display:
        words = [F.col(column).cast("string") for column in table.display]
        columns.append(F.concat_ws(", ", *words).alias("display"))
    linked = {link.column for link in graph.links if link.table == table.name}
    columns += [_plain(frame, name, name in linked).alias(f"{RAW}{name}") for name in _kept(graph, table, linked)]
    encoded = encode_features(frame, features, columns)
    if table.primary_key:
        # Ids are dense, so that their ranges need no look at the rows.
        part = (F.col(NODE_ID) - first) * parts / max(1, keys[table.name].count - first)
        part = F.greatest(F.lit(0), F.floor(part)).cast("int")
        encoded = encoded.repartitionById(parts, part).sortWithinPartitions(NODE_ID)
    return encode_lists(encoded, features, encoder)


def _kept(graph: GraphSchema, table: Table, linked: set[str]) -> list[str]:
    """Columns whose values queries may ask for, foreign keys of any type among them; the primary key has its own."""
    kinds = graph.table(table.name).kinds
    asked = [name for name, kind in kinds.items() if kind not in NESTED or name in linked]
    return [name for name in asked if name != table.primary_key]


def _plain(frame: DataFrame, name: str, is_key: bool) -> Column:
    """The value as labels use it: every time as a timestamp, NaN and infinities as missing.

    Decimals become doubles where these hold all their digits; keys among them are compared as they are.
    """
    column, physical = F.col(name), frame.schema[name].dataType
    if isinstance(physical, T.DecimalType):
        return column if is_key or physical.precision > DOUBLE_DIGITS else column.cast("double")
    if isinstance(physical, T.DoubleType | T.FloatType):
        return F.when(~F.isnan(column) & (F.abs(column) < float("inf")), column)
    if isinstance(physical, T.DateType | T.TimestampNTZType):
        return column.cast("timestamp")
    return column.cast("string") if isinstance(physical, T.StringType) else column
