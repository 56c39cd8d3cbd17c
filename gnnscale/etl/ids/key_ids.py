"""Dense node ids of keys: by range of fingerprint and offset, kept from build to build.

Keys are dealt out to ranges of their fingerprint, each range is sorted and stripped of repetitions by one task, and
numbered from the count of all ranges before it. Only those counts reach the driver. A later build keeps the ids that
there are and numbers new keys after them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs
import pyarrow.parquet as pq
from numba import njit
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession

from gnnscale.arrays import plain_keys
from gnnscale.etl.ids.key_hash import Fingerprints, fingerprint_keys
from gnnscale.etl.ids.key_lookup import KeyMap
from gnnscale.etl.spark.parquet_scan import ParquetScan
from gnnscale.lake import Lake, WrittenFile, commit_files, open_folder, remove_strays, table_files, write_parquet
from gnnscale.schema import DataError
from gnnscale.store import MOST_NODES

RANGE_KEYS = 1 << 22
"""Keys of a range, as many as one task sorts."""

WRITTEN_HERE = 1 << 17
"""Keys of one range that this process has written before Spark has started a task that would."""

_BLOCKS = "range int, keys long, block binary"
_STAGED = "range long, path string, keys long"
_FILES = "path string, size long, keys long"


class KeyReader(Protocol):
    """What turns the batches of a task into keys; travels to the executors."""

    def keys(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Array]:
        """Keys of any type; nulls are none."""


@dataclass(frozen=True)
class FrameKeys:
    """Keys in column ``key`` of the batches themselves."""

    def keys(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Array]:
        """One array a batch."""
        return (batch.column("key") for batch in batches)


@dataclass(frozen=True)
class FileKeys:
    """Keys in columns of files that tasks read."""

    files: ParquetScan
    columns: tuple[str, ...]

    def keys(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Array]:
        """One array a column and batch."""
        for batch in self.files.batches(batches, self.columns):
            yield from batch.columns


def key_map(lake: Lake, table: str, cache: str | None = None) -> KeyMap:
    """The ids of a table's keys, at the latest version of ``ids_<table>``."""
    files = tuple(table_files(lake.open(f"ids_{table}")))
    return KeyMap(lake.table_uri(f"ids_{table}"), files, dict(lake.storage_options), cache)


def write_ids(
    lake: Lake,
    table: str,
    frame: DataFrame,
    reader: KeyReader,
    key_type: pa.DataType,
    expected: int,
    cache: str | None = None,
    known: KeyMap | None = None,
) -> KeyMap:
    """Number the keys of a table and commit ``ids_<table>`` (``key``, ``node_id``), in order of node id.

    Args:
        lake: gets the table.
        table: whose keys they are.
        frame: what tasks read.
        reader: of its batches; a key may come any number of times.
        key_type: of column ``key``.
        expected: about how many keys there are.
        cache: folder on a local disk for arrays by which keys are found.
        known: ids that stand, of the table as it is; new keys are appended to it. None numbers all anew.

    Returns:
        The ids of all keys.

    Raises:
        DataError: more keys than ids of 32 bits, or two keys that can't be told apart.
    """
    session = frame.sparkSession
    ranges = max(1, min(-(-expected // RANGE_KEYS), 1 << 15))
    start = lake.open(f"ids_{table}").to_pyarrow_dataset().count_rows() if known else 0
    job = uuid.uuid4().hex[:8]
    staging = f"{lake.uri}/_staging/ids_{table}-{job}"
    options = dict(lake.storage_options)
    try:
        blocks = frame.mapInArrow(_KeyDealer(reader, ranges, known), _BLOCKS).repartitionById(ranges, "range")
        staged = blocks.mapInArrow(_KeySorter(staging, options, table), _STAGED).toArrow().sort_by("range")
        counts = staged["keys"].to_pylist()
        if start + sum(counts) > MOST_NODES:
            raise DataError(f"table '{table}' has {start + sum(counts):,} keys; a table holds {MOST_NODES:,} at most")
        if not counts and known:
            return known
        offsets = (start + np.cumsum([0, *counts])[:-1]).tolist()
        prefix = f"run-{lake.version(f'ids_{table}') + 1:04d}-part" if known else "part"
        writer = _IdWriter(lake.table_uri(f"ids_{table}"), staging, options, key_type, prefix, job)
        plan = [
            (i, path, offset) for i, (path, offset) in enumerate(zip(staged["path"].to_pylist(), offsets, strict=True))
        ]
        files = _write_numbered(session, plan, writer, sum(counts))
    finally:
        _remove_folder(staging, options)
    remove_strays(lake.table_uri(f"ids_{table}"), options, job, {file.path for file in files})
    schema = pa.schema([("key", key_type), ("node_id", pa.int64())])
    commit_files(lake.table_uri(f"ids_{table}"), schema, files, "append" if known else "overwrite", options)
    return key_map(lake, table, cache)


def _write_numbered(
    session: SparkSession, plan: Sequence[tuple[int, str, int]], writer: _IdWriter, keys: int
) -> list[WrittenFile]:
    if not plan:
        return []
    if len(plan) == 1 and keys <= WRITTEN_HERE:
        batch = pa.RecordBatch.from_pylist([dict(zip(("part", "path", "offset"), plan[0], strict=True))])
        rows = [row for found in writer(iter([batch])) for row in found.to_pylist()]
    else:
        frame = session.createDataFrame(list(plan), "part int, path string, offset long")
        rows = frame.repartitionById(len(plan), "part").mapInArrow(writer, _FILES).toArrow().to_pylist()
    return [WrittenFile(row["path"], row["size"], row["keys"]) for row in sorted(rows, key=lambda row: row["path"])]


@dataclass(frozen=True)
class _KeyDealer:
    reader: KeyReader
    ranges: int
    known: KeyMap | None

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        seen = _SeenKeys()
        for keys in self.reader.keys(batches):
            fresh = plain_keys(keys)
            prints = fingerprint_keys(fresh)
            new = seen.add(prints)
            if self.known is not None:
                new &= self.known.lookup().find(fresh) < 0
            if not new.any():
                continue
            fresh, hashes = fresh.filter(pa.array(new)), prints.hashes[new]
            checks = prints.checks[new] if prints.checks is not None else None
            places = (((hashes >> np.uint64(32)) * np.uint64(self.ranges)) >> np.uint64(32)).astype(np.int32)
            order = np.argsort(places, kind="stable")
            batch = _key_batch(
                fresh.take(pa.array(order)), hashes[order], checks[order] if checks is not None else None
            )
            found, starts = np.unique(places[order], return_index=True)
            ends = np.append(starts[1:], len(order))
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array(found, pa.int32()),
                    pa.array(ends - starts, pa.int64()),
                    pa.array([_packed(batch.slice(a, b - a)) for a, b in zip(starts, ends, strict=True)], pa.binary()),
                ],
                ["range", "keys", "block"],
            )


@dataclass(frozen=True)
class _KeySorter:
    staging: str
    storage_options: Mapping[str, str]
    table: str

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held: list[pa.RecordBatch] = []
        place = -1
        for batch in batches:
            if batch.num_rows:
                place = batch.column("range")[0].as_py()
                for value in batch.column("block"):
                    with pa.ipc.open_stream(value.as_buffer()) as stream:
                        held.extend(stream)
        if not held:
            return
        rows = pa.Table.from_batches(held).combine_chunks()
        keys = self._distinct(rows)
        filesystem, root = open_folder(self.staging, self.storage_options, make=True)
        path = f"{place:06d}-{uuid.uuid4().hex[:8]}.parquet"
        pq.write_table(pa.table({"key": keys}), root + path, filesystem=filesystem, compression="lz4")
        yield pa.RecordBatch.from_pydict({"range": [place], "path": [path], "keys": [len(keys)]})

    def _distinct(self, rows: pa.Table) -> pa.ChunkedArray:
        """Keys in order of fingerprint, each once."""
        hashes = rows["hash"].to_numpy()
        checks = rows["check"].to_numpy() if "check" in rows.column_names else None
        order = np.argsort(hashes, kind="stable") if checks is None else np.lexsort((checks, hashes))
        keys = rows["key"].take(pa.array(order)).combine_chunks()
        same = hashes[order][1:] == hashes[order][:-1]
        if checks is not None:
            same &= checks[order][1:] == checks[order][:-1]
            twins = np.flatnonzero(same)
            alike = pc.equal(keys.take(pa.array(twins)), keys.take(pa.array(twins + 1)))
            if not pc.all(alike).as_py() and len(twins):
                at = int(twins[np.flatnonzero(~alike.to_numpy(zero_copy_only=False))[0]])
                raise DataError(
                    f"keys {keys[at].as_py()!r} and {keys[at + 1].as_py()!r} of '{self.table}' have one 96-bit "
                    "fingerprint; change one of them"
                )
        return keys.filter(pa.array(np.concatenate([[True], ~same])))


@dataclass(frozen=True)
class _IdWriter:
    root: str
    staging: str
    storage_options: Mapping[str, str]
    key_type: pa.DataType
    prefix: str
    job: str

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        staged, before = open_folder(self.staging, self.storage_options)
        filesystem, root = open_folder(self.root, self.storage_options, make=True)
        for batch in batches:
            for part, source, offset in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                keys = pq.read_table(before + source, filesystem=staged, use_threads=False)["key"]
                ids = pa.array(np.arange(offset, offset + len(keys), dtype=np.int64))
                rows = pa.table({"key": keys.cast(self.key_type), "node_id": ids})
                path = f"{self.prefix}-{part:06d}-{self.job}-{uuid.uuid4().hex[:8]}.parquet"
                encoding = {"node_id": "DELTA_BINARY_PACKED"}
                write_parquet(rows, root + path, filesystem=filesystem, use_dictionary=False, column_encoding=encoding)
                size = filesystem.get_file_info(root + path).size
                yield pa.RecordBatch.from_pydict({"path": [path], "size": [size], "keys": [len(keys)]})


class _SeenKeys:
    """The keys that a task has met: a hash table with linear probing, twice as large as what it holds."""

    def __init__(self) -> None:
        self._hashes, self._checks = np.zeros(1 << 12, np.uint64), np.zeros(1 << 12, np.uint32)
        self._used = np.zeros(1 << 12, np.bool_)
        self._count = 0

    def add(self, prints: Fingerprints) -> NDArray[np.bool_]:
        """Which keys are met for the first time, bool ``[keys]``; null never is."""
        rows = len(prints.hashes)
        checks = prints.checks if prints.checks is not None else np.zeros(rows, np.uint32)
        valid = prints.valid if prints.valid is not None else np.ones(rows, np.bool_)
        fresh = np.zeros(rows, np.bool_)
        done = 0
        while done < rows:
            if 2 * self._count >= len(self._hashes):
                self._grow()
            room = len(self._hashes) // 2 - self._count
            done, self._count = _insert(
                self._hashes, self._checks, self._used, prints.hashes, checks, valid, fresh, done, room, self._count
            )
        return fresh

    def _grow(self) -> None:
        hashes, checks, used = self._hashes, self._checks, self._used
        size = 4 * len(hashes)
        self._hashes, self._checks = np.zeros(size, np.uint64), np.zeros(size, np.uint32)
        self._used = np.zeros(size, np.bool_)
        held = np.flatnonzero(used)
        everything = np.ones(len(held), np.bool_)
        _insert(
            self._hashes,
            self._checks,
            self._used,
            hashes[held],
            checks[held],
            everything,
            everything.copy(),
            0,
            size,
            0,
        )


@njit(nogil=True, cache=True)
def _insert(slots, slot_checks, used, hashes, checks, valid, fresh, start, room, count):  # type: ignore[no-untyped-def]
    mask = np.uint64(len(slots) - 1)
    for i in range(start, len(hashes)):
        if not valid[i]:
            continue
        at = hashes[i] & mask
        while used[at] and (slots[at] != hashes[i] or slot_checks[at] != checks[i]):
            at = (at + np.uint64(1)) & mask
        if not used[at]:
            if room == 0:
                return i, count
            used[at] = True
            slots[at] = hashes[i]
            slot_checks[at] = checks[i]
            fresh[i] = True
            room -= 1
            count += 1
    return len(hashes), count


def _key_batch(keys: pa.Array, hashes: NDArray[np.uint64], checks: NDArray[np.uint32] | None) -> pa.RecordBatch:
    columns = {"key": keys, "hash": pa.array(hashes)}
    return pa.RecordBatch.from_pydict(columns if checks is None else {**columns, "check": pa.array(checks)})


def _packed(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _remove_folder(path: str, storage_options: Mapping[str, str]) -> None:
    filesystem, root = open_folder(path, storage_options)
    if "://" not in path:
        if filesystem.get_file_info(root.rstrip("/")).type == pyarrow.fs.FileType.Directory:
            filesystem.delete_dir(root)
        return
    for entry in filesystem.get_file_info(pyarrow.fs.FileSelector("", allow_not_found=True, recursive=True)):
        filesystem.delete_file(entry.path)
