"""Where edges come from: files of the lake or of an event log, or a Spark frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession

from gnnscale.etl.edges.edge_blocks import EdgeColumns
from gnnscale.etl.edges.edge_sort import EdgeReader, EdgeScan
from gnnscale.etl.ids.key_lookup import KeyMap
from gnnscale.etl.spark.parquet_scan import PEEKED_GROUPS, PEEKED_ROWS, ParquetScan


@dataclass(frozen=True)
class NumberedEdges:
    """Edges whose ends are node ids already.

    Args:
        origin: epoch seconds that stamps count from.
        files: that tasks read; None where batches are the rows themselves.
        columns: names of source, target, time and, where there is one, weight.
    """

    origin: int
    files: ParquetScan | None = None
    columns: tuple[str, ...] = ("source", "target", "time")

    @property
    def weighted(self) -> bool:
        """Whether edges have weights."""
        return len(self.columns) > 3

    def edges(self, batches: Iterator[pa.RecordBatch]) -> Iterator[EdgeColumns]:
        """All edges of a task."""
        rows = self.files.batches(batches, self.columns) if self.files else batches
        return (self._columns(batch) for batch in rows)

    def sample(self, batches: Iterator[pa.RecordBatch]) -> Iterator[EdgeColumns]:
        """Edges of a task from which the distribution of all can be estimated."""
        rows = self.files.peek(batches, self.columns) if self.files else batches
        return (self._columns(batch) for batch in rows)

    def _columns(self, batch: pa.RecordBatch) -> EdgeColumns:
        source, target, time, *weight = (batch.column(name) for name in self.columns)
        times, timeless = epoch_seconds(time, self.origin)
        times = np.maximum(times, self.origin)
        held = weight[0].to_numpy(zero_copy_only=False).astype(np.float32, copy=False) if weight else None
        return EdgeColumns.of(node_ids(source), node_ids(target), times, timeless, self.origin, held)


@dataclass(frozen=True)
class LogEdges:
    """One edge for each row of an event log, whose ends are keys.

    Args:
        files: of the log.
        columns: names of the source's key, the target's key and the time.
        sources, targets: ids of the keys; rows with a key that has none make no edge.
        origin: epoch seconds that stamps count from.
    """

    files: ParquetScan
    columns: tuple[str, str, str]
    sources: KeyMap
    targets: KeyMap
    origin: int
    weighted: bool = False

    def edges(self, batches: Iterator[pa.RecordBatch]) -> Iterator[EdgeColumns]:
        """All edges of a task."""
        return (self._columns(batch) for batch in self.files.batches(batches, self.columns))

    def sample(self, batches: Iterator[pa.RecordBatch]) -> Iterator[EdgeColumns]:
        """Edges of the first rows of row groups."""
        return (self._columns(batch) for batch in self.files.peek(batches, self.columns))

    def _columns(self, batch: pa.RecordBatch) -> EdgeColumns:
        source_keys, target_keys, time = (batch.column(name) for name in self.columns)
        times, timeless = epoch_seconds(time, self.origin)
        times = np.maximum(times, self.origin)
        source, target = self.sources.lookup().find(source_keys), self.targets.lookup().find(target_keys)
        return EdgeColumns.of(source, target, times, timeless, self.origin)


def node_ids(column: pa.Array) -> NDArray[np.int64]:
    """Ids of a column, -1 where it is null."""
    filled = column.fill_null(-1) if column.null_count else column
    ids: NDArray[np.int64] = filled.to_numpy(zero_copy_only=False)
    return ids


def epoch_seconds(column: pa.Array, filler: int) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
    """Epoch seconds, ``filler`` where the column is null, and where that is; None where nowhere.

    Timestamps of any unit are rounded up, so that whole-second anchors divide them as the exact times would.
    """
    if pa.types.is_timestamp(column.type):
        per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[column.type.unit]
        ticks = column.cast(pa.int64())
        filled = (ticks.fill_null(filler * per_second) if ticks.null_count else ticks).to_numpy(zero_copy_only=False)
        times = -(-filled // per_second)
    elif pa.types.is_date(column.type):
        return epoch_seconds(column.cast(pa.timestamp("s")), filler)
    else:
        times = (column.fill_null(filler) if column.null_count else column).to_numpy(zero_copy_only=False)
        if times.dtype.kind == "f":
            times = np.ceil(times)
    timeless = pc.is_null(column).to_numpy(zero_copy_only=False) if column.null_count else None
    return times.astype(np.int64, copy=False), timeless


def scan_files(session: SparkSession, files: ParquetScan, reader: EdgeReader) -> EdgeScan:
    """Edges that tasks read from files themselves, which the reader has too."""
    return EdgeScan(files.frame(session), reader, files.rows, min(files.rows, PEEKED_ROWS * PEEKED_GROUPS))


def scan_frame(frame: DataFrame, rows: int, origin: int, weighted: bool = False) -> EdgeScan:
    """Edges of a frame with columns ``source``, ``target``, ``time`` and perhaps ``weight``; cache it first."""
    columns = ("source", "target", "time", *(("weight",) if weighted else ()))
    return EdgeScan(frame.select(*columns), NumberedEdges(origin, None, columns), rows, rows)
