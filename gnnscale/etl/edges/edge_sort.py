"""Edges sorted by (source, time) as a Delta table: Spark moves packed blocks, tasks count, sort and write.

The map side deals edges out to ranges of (source, time, target) and emits one block for each; Spark shuffles those few
large rows; the reduce side sorts a range and writes its file. Only file names come back to the driver.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.fs
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from gnnscale.etl.edges.edge_blocks import EdgeColumns, Ranges, deal, merge, unpack
from gnnscale.etl.spark.connect import task_slots
from gnnscale.lake import Lake, WrittenFile, commit_files, open_folder, parquet_writer, remove_strays

log = logging.getLogger(__name__)

RANGE_EDGES = 1 << 23
"""Edges of a range: about 0.3 GB of memory for the task that sorts them."""

SAMPLED_EDGES = 1 << 18
ROW_GROUP = 1 << 20

_BLOCKS = "range int, edges long, block binary"
_FILES = (
    "path string, size long, edges long, first long, last long, first_degree long, last_degree long, max_degree long"
)


class EdgeReader(Protocol):
    """What turns the batches of a task into edges; travels to the executors."""

    @property
    def weighted(self) -> bool:
        """Whether edges have weights."""

    def edges(self, batches: Iterator[pa.RecordBatch]) -> Iterator[EdgeColumns]:
        """All edges of a task."""

    def sample(self, batches: Iterator[pa.RecordBatch]) -> Iterator[EdgeColumns]:
        """Edges of a task from which the distribution of all can be estimated."""


@dataclass(frozen=True)
class EdgeScan:
    """Edges to be sorted.

    Args:
        frame: what tasks read, one partition each.
        reader: of its batches.
        rows: most edges there can be; how finely the work is cut follows.
        sampled: edges that the reader's sample has, about.
    """

    frame: DataFrame
    reader: EdgeReader
    rows: int
    sampled: int


@dataclass(frozen=True)
class SortedEdges:
    """An edge table as written: its version, its edges, and the most that leave one node."""

    version: int
    edges: int
    max_degree: int


def edge_schema(weighted: bool) -> pa.Schema:
    """Columns of an edge table."""
    fields = [("source", pa.int32()), ("target", pa.int32()), ("time", pa.int64())]
    return pa.schema(fields + ([("weight", pa.float32())] if weighted else []))


def write_sorted_edges(
    lake: Lake,
    table: str,
    scan: EdgeScan,
    origin: int,
    reverse: bool = False,
    run: int | None = None,
    range_edges: int = RANGE_EDGES,
    row_group: int = ROW_GROUP,
) -> SortedEdges:
    """Sort edges and commit them as a Delta table, in files that are in order by name.

    Args:
        lake: gets the table.
        table: its name.
        scan: where the edges come from.
        origin: epoch seconds that the reader's stamps count from.
        reverse: whether to turn edges around first.
        run: number of a further sorted run that is appended to the table; None replaces it.
        range_edges: about how many edges a file gets.
        row_group: most edges of a row group.
    """
    ranges = _plan_ranges(scan, reverse, range_edges)
    log.debug("%s: %d ranges", table, len(ranges))
    job = uuid.uuid4().hex[:8]
    prefix = f"run-{run:04d}-" if run is not None else ""
    write = _RangeWriter(
        lake.table_uri(table), dict(lake.storage_options), origin, scan.reader.weighted, f"{prefix}part", job, row_group
    )
    blocks = scan.frame.mapInArrow(_Dealer(scan.reader, ranges, reverse), _BLOCKS)
    rows = blocks.repartitionById(len(ranges), "range").mapInArrow(write, _FILES).toArrow().sort_by("path")
    files = [
        WrittenFile(path, size, edges, {"source": first}, {"source": last})
        for path, size, edges, first, last in zip(
            *(rows[name].to_pylist() for name in ("path", "size", "edges", "first", "last")), strict=True
        )
    ]
    mode = "overwrite" if run is None else "append"
    version = commit_files(lake.table_uri(table), edge_schema(scan.reader.weighted), files, mode, lake.storage_options)  # type: ignore[arg-type]
    remove_strays(lake.table_uri(table), lake.storage_options, job, {file.path for file in files})
    return SortedEdges(version, sum(file.rows for file in files), _max_degree(rows))


def _plan_ranges(scan: EdgeScan, reverse: bool, range_edges: int) -> Ranges:
    tasks = task_slots(scan.frame.sparkSession)
    count = max(-(-scan.rows // range_edges), min(2 * tasks, -(-scan.rows // max(1, range_edges // 8))), 1)
    if count == 1:
        return Ranges(np.empty(0, np.uint32), np.empty(0, np.uint64))
    step = max(1, scan.sampled // SAMPLED_EDGES)
    rows = scan.frame.mapInArrow(_Sampler(scan.reader, step, reverse), _BLOCKS).toArrow()
    found = [
        edges
        for column, counts in zip(rows["block"].chunks, rows["edges"].chunks, strict=True)
        for edges in unpack(column, counts.to_numpy(), weighted=False)
    ]
    return Ranges.of_sample(merge(found), count)


def _block_batch(blocks: list[tuple[int, bytes]], weighted: bool) -> pa.RecordBatch:
    width = 16 if weighted else 12
    return pa.RecordBatch.from_arrays(
        [
            pa.array([index for index, _ in blocks], pa.int32()),
            # Blocks are padded to 8 bytes, which is less than an edge.
            pa.array([len(block) // width for _, block in blocks], pa.int64()),
            pa.array([block for _, block in blocks], pa.binary()),
        ],
        ["range", "edges", "block"],
    )


@dataclass(frozen=True)
class _Sampler:
    reader: EdgeReader
    step: int
    reverse: bool

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        everything = Ranges(np.empty(0, np.uint32), np.empty(0, np.uint64))
        for edges in self.reader.sample(batches):
            turned = edges.transposed() if self.reverse else edges
            thin = EdgeColumns(turned.source[:: self.step].copy(), turned.payload[:: self.step].copy())
            blocks = deal(thin, everything)
            if blocks:
                yield _block_batch(blocks, weighted=False)


@dataclass(frozen=True)
class _Dealer:
    reader: EdgeReader
    ranges: Ranges
    reverse: bool

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for edges in self.reader.edges(batches):
            blocks = deal(edges.transposed() if self.reverse else edges, self.ranges)
            if blocks:
                yield _block_batch(blocks, edges.weight is not None)


@dataclass(frozen=True)
class _RangeWriter:
    root: str
    storage_options: Mapping[str, str]
    origin: int
    weighted: bool
    prefix: str
    job: str
    row_group: int

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held, index = [], -1
        for batch in batches:
            if batch.num_rows:
                index = batch.column("range")[0].as_py()
                held.extend(unpack(batch.column("block"), batch.column("edges").to_numpy(), self.weighted))
        edges = merge(held)
        held.clear()
        if not len(edges):
            return
        filesystem, root = open_folder(self.root, self.storage_options, make=True)
        # Names in order of ranges; an attempt that Spark repeats writes a file of its own.
        path = f"{self.prefix}-{index:06d}-{self.job}-{uuid.uuid4().hex[:8]}.parquet"
        write_edge_file(filesystem, root + path, edges, self.origin, self.row_group)
        first, last, degrees = _degrees(edges.source)
        values = [path, filesystem.get_file_info(root + path).size, len(edges), first, last]
        values += [int(degrees[0]), int(degrees[-1]), int(degrees.max())]
        names = [word.split()[0] for word in _FILES.split(", ")]
        yield pa.RecordBatch.from_pydict({name: [value] for name, value in zip(names, values, strict=True)})


def write_edge_file(
    filesystem: pyarrow.fs.FileSystem, path: str, edges: EdgeColumns, origin: int, row_group: int = ROW_GROUP
) -> None:
    """Write edges, in the order they are in, as one file of an edge table.

    Args:
        origin: epoch seconds that stamps count from.
        row_group: most edges of a row group.
    """
    schema = edge_schema(edges.weight is not None)
    # Sources and times ascend, so differences are small; targets are noise that no codec shortens at this speed.
    encodings = {"source": "DELTA_BINARY_PACKED", "time": "DELTA_BINARY_PACKED"}
    with (
        filesystem.open_output_stream(path) as sink,
        parquet_writer(
            sink, schema, compression="none", use_dictionary=False, column_encoding=encodings, write_statistics=True
        ) as writer,
    ):
        for start in range(0, len(edges), row_group):
            part = slice(start, start + row_group)
            weight = edges.weight[part] if edges.weight is not None else None
            columns = _file_columns(EdgeColumns(edges.source[part], edges.payload[part], weight), origin)
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def _file_columns(edges: EdgeColumns, origin: int) -> list[pa.Array]:
    stamps = edges.stamps()
    timeless = stamps == 0
    times = stamps + (origin - 1)
    columns = [
        pa.array(edges.source.view(np.int32)),
        pa.array(edges.targets()),
        pa.array(times, mask=timeless if timeless.any() else None),
    ]
    return columns + ([pa.array(edges.weight)] if edges.weight is not None else [])


def _degrees(source: NDArray[np.uint32]) -> tuple[int, int, NDArray[np.int64]]:
    changes = np.flatnonzero(source[1:] != source[:-1]) + 1
    degrees = np.diff(np.concatenate([[0], changes, [len(source)]]))
    return int(source[0]), int(source[-1]), degrees


def _max_degree(files: pa.Table) -> int:
    """The most edges of one source, whose edges may lie in several files."""
    most, carried, carrier = 0, 0, -1
    for row in files.to_pylist():
        whole = row["first"] == row["last"]
        carried = (carried if carrier == row["first"] else 0) + row["first_degree"]
        most = max(most, carried, row["max_degree"])
        carried = carried if whole else row["last_degree"]
        carrier = row["last"]
    return most
