"""Graphs of any size to measure and test on: users, items and their events, written by Spark tasks.

Popularity is a power law, keys are sparse, times run from file to file as logs do. A value is a hash of the seed, the
table and the row's number, so it does not depend on how the rows are cut into files, on threads or on retries. (Ranks
come from a power of a random number: machines whose math libraries round differently may differ in a few events.)
"""

from __future__ import annotations

import datetime as dt
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
from pyspark import TaskContext
from pyspark.sql import SparkSession

from gnnscale.etl.synthetic.generated_events import fill_events
from gnnscale.etl.synthetic.generated_nodes import (
    CATEGORIES,
    TIME,
    birth_key,
    birth_times,
    item_columns,
    node_keys,
    timestamps,
    user_columns,
)
from gnnscale.sampling import stream_key
from gnnscale.schema import ConfigError, LakeError

TYPES = ["view", "cart", "buy"]
DAY = 86_400_000
MOST_GROUP_ROWS = 1 << 24


@dataclass(frozen=True)
class GeneratorSettings:
    """What to generate.

    Args:
        users, items, events: rows of each table.
        seed: of everything.
        keys: type of the primary and foreign keys.
        user_skew, item_skew: exponents of the power laws; the node of rank r takes a share of the events that falls
            as ``r ** -skew``.
        hub_share: share of all events that goes to one item beside the power law; 0 for no such item.
        start: first day of the events, UTC.
        days: that the events span; nodes come to be known in it or in as long a time before.
        interests: most entries of the users' list column; 0 leaves it out.
        vector: numbers in the items' vector column; 0 leaves it out.
        file_rows: rows of a file.
        group_rows: rows of a Parquet row group, which a task holds in memory at once.

    Raises:
        ConfigError: a value is out of range.
    """

    users: int
    items: int
    events: int
    seed: int = 0
    keys: Literal["int", "string"] = "int"
    user_skew: float = 0.6
    item_skew: float = 0.9
    hub_share: float = 0.0
    start: dt.date = dt.date(2023, 1, 1)
    days: int = 400
    interests: int = 0
    vector: int = 0
    file_rows: int = 10_000_000
    group_rows: int = 1_000_000

    def __post_init__(self) -> None:
        least = {"users": 1, "items": 2 if self.hub_share else 1, "events": 0, "days": 1, "vector": 0, "file_rows": 1}
        for name, low in least.items():
            if (value := getattr(self, name)) < low:
                raise ConfigError(f"{name} must be at least {low}, not {value}")
        for name, most in (("interests", len(CATEGORIES)), ("group_rows", MOST_GROUP_ROWS)):
            low = 0 if name == "interests" else 1
            if not low <= (value := getattr(self, name)) <= most:
                raise ConfigError(f"{name} must be from {low} to {most:,}, not {value:,}")
        for name in ("user_skew", "item_skew"):
            if not 0 <= (value := getattr(self, name)) < math.inf:
                raise ConfigError(f"{name} must be 0 or more, not {value}")
        if not 0 <= self.hub_share < 1:
            raise ConfigError(f"hub_share must be at least 0 and under 1, not {self.hub_share}")
        if self.keys not in ("int", "string"):
            raise ConfigError(f"keys must be int or string, not '{self.keys}'")


class GeneratedFile(NamedTuple):
    """A Parquet file and its rows."""

    table: str
    path: str
    rows: int


class _Piece(NamedTuple):
    table: str
    number: int
    first: int
    rows: int


def generate_tables(session: SparkSession, settings: GeneratorSettings, out: str | os.PathLike) -> list[GeneratedFile]:
    """Write ``users``, ``items`` and ``events`` as ``<out>/<table>/part-00000.parquet`` and on.

    Args:
        session: its tasks write a file each.
        settings: what to generate.
        out: folder or URI that pyarrow writes to and every executor reaches.

    Returns:
        The files in order.

    Raises:
        LakeError: a table's folder is not empty.
    """
    target = os.fspath(out)
    if "://" not in target:
        target = os.path.abspath(target)
    pieces = _pieces(settings)
    for table in dict.fromkeys(piece.table for piece in pieces):
        filesystem, folder = _folder(target, table)
        if filesystem.get_file_info(pyarrow.fs.FileSelector(folder, allow_not_found=True)):
            raise LakeError(f"{target}/{table} is not empty: its files would mix with those of another graph")

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            files = [_write_file(settings, pieces[place], target) for place in batch["id"].to_pylist()]
            yield pa.RecordBatch.from_pylist([file._asdict() for file in files])

    indices = session.range(0, len(pieces), 1, len(pieces))
    rows = indices.mapInArrow(write, "table string, path string, rows long").collect()
    return sorted(GeneratedFile(*row) for row in rows)


def table_rows(settings: GeneratorSettings, table: str, first: int, rows: int) -> pa.Table:
    """Rows of ``users``, ``items`` or ``events`` from ``first`` on."""
    text = settings.keys == "string"
    start, span = _milliseconds(settings)
    if table == "events":
        return _events(settings, first, rows)
    nodes = np.arange(first, first + rows)
    born = birth_times(settings.seed, table, nodes, start, span)
    keys = node_keys(settings.seed, table, nodes, text)
    if table == "users":
        own = user_columns(settings.seed, nodes, settings.interests)
        return pa.table({"user_id": keys, "signed_up_at": born, **own})
    return pa.table({"item_id": keys, "released_at": born, **item_columns(settings.seed, nodes, settings.vector)})


def _events(settings: GeneratorSettings, first: int, rows: int) -> pa.Table:
    seed, text = settings.seed, settings.keys == "string"
    users, items, times = np.empty(rows, np.int64), np.empty(rows, np.int64), np.empty(rows, np.int64)
    types = np.empty(rows, np.int8)
    streams = [stream_key(seed, 0, f"events {name}") for name in ("user", "item", "hub", "time", "type")]
    fill_events(
        np.array(streams),
        np.array([birth_key(seed, "users"), birth_key(seed, "items")]),
        first,
        settings.events,
        np.array([settings.users, settings.items]),
        np.array([settings.user_skew, settings.item_skew], np.float64),
        float(settings.hub_share),
        *_milliseconds(settings),
        users,
        items,
        times,
        types,
    )
    return pa.table(
        {
            "user_id": node_keys(seed, "users", users, text),
            "item_id": node_keys(seed, "items", items, text),
            "at": timestamps(times),
            "type": pa.DictionaryArray.from_arrays(types, TYPES),
        }
    )


def _milliseconds(settings: GeneratorSettings) -> tuple[int, int]:
    midnight = dt.datetime.combine(settings.start, dt.time(), dt.UTC)
    return int(midnight.timestamp()) * 1_000, settings.days * DAY


def _pieces(settings: GeneratorSettings) -> list[_Piece]:
    pieces = []
    for table, total in (("users", settings.users), ("items", settings.items), ("events", settings.events)):
        for number, first in enumerate(range(0, max(total, 1), settings.file_rows)):
            pieces.append(_Piece(table, number, first, min(settings.file_rows, total - first)))
    return pieces


def _write_file(settings: GeneratorSettings, piece: _Piece, target: str) -> GeneratedFile:
    filesystem, folder = _folder(target, piece.table)
    filesystem.create_dir(folder, recursive=True)
    name = f"part-{piece.number:05d}.parquet"
    context = TaskContext.get()
    # Two attempts at one task may run at once; readers pass over names that begin with a dot.
    unfinished = f"{folder}/.{name}.{context.taskAttemptId() if context else 0}"
    schema = table_rows(settings, piece.table, piece.first, 0).schema
    plain = [field.name for field in schema if pa.types.is_dictionary(field.type)]
    with (
        filesystem.open_output_stream(unfinished) as sink,
        pq.ParquetWriter(
            sink,
            schema,
            # Keys are all but random bits: dictionaries of them cost twice the time and save a byte. zstd packs text
            # keys to half of what snappy does.
            compression="zstd",
            compression_level=1,
            use_dictionary=plain,
            column_encoding={field.name: "DELTA_BINARY_PACKED" for field in schema if field.type == TIME},
            # Readers would otherwise be given dictionaries.
            store_schema=False,
        ) as writer,
    ):
        for first in range(piece.first, piece.first + piece.rows, settings.group_rows):
            rows = min(settings.group_rows, piece.first + piece.rows - first)
            writer.write_table(table_rows(settings, piece.table, first, rows), rows)
    filesystem.move(unfinished, f"{folder}/{name}")
    return GeneratedFile(piece.table, f"{target}/{piece.table}/{name}", piece.rows)


def _folder(target: str, table: str) -> tuple[pyarrow.fs.FileSystem, str]:
    if "://" not in target:
        return pyarrow.fs.LocalFileSystem(), f"{target}/{table}"
    filesystem, path = pyarrow.fs.FileSystem.from_uri(target)
    return filesystem, f"{path.rstrip('/')}/{table}"
