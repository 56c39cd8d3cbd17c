"""Parquet files read by tasks themselves: columns straight from the file, without a row crossing the JVM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from gnnscale.lake import Lake, open_folder, table_files

BATCH_ROWS = 1 << 21
"""Rows that a task holds at a time."""

PART_ROWS = 1 << 24
"""Rows of a part, of which one task reads one."""

PEEKED_ROWS = 1 << 14
PEEKED_GROUPS = 1 << 9


@dataclass(frozen=True)
class FilePart:
    """Row groups ``first`` to ``last - 1`` of one file."""

    path: str
    first: int
    last: int


@dataclass(frozen=True)
class ParquetScan:
    """Files under one root, cut into parts for tasks.

    Args:
        root: of the files' paths.
        storage_options: as delta-rs names them.
        parts: in order of the files.
        rows: of all parts.
        groups: row groups of all parts.
    """

    root: str
    storage_options: Mapping[str, str]
    parts: tuple[FilePart, ...]
    rows: int
    groups: int

    @classmethod
    def of_files(
        cls, root: str, files: Sequence[str], storage_options: Mapping[str, str], tasks: int, part_rows: int = PART_ROWS
    ) -> ParquetScan:
        """Cut files into parts of whole row groups.

        Args:
            root: folder or URI that the files are under.
            files: their paths, in the order that counts.
            tasks: that can run at once; there are at least twice as many parts, where row groups allow it.
            part_rows: most rows of a part, where a row group has no more.
        """
        filesystem, prefix = open_folder(root, storage_options)

        def group_rows(path: str) -> list[int]:
            with filesystem.open_input_file(prefix + path) as file:
                footer = pq.read_metadata(file)
            return [footer.row_group(i).num_rows for i in range(footer.num_row_groups)]

        with ThreadPoolExecutor(16) as threads:
            counted = list(threads.map(group_rows, files))
        rows = sum(map(sum, counted))
        limit = max(1, min(part_rows, rows // (2 * tasks)))
        parts = []
        for path, groups in zip(files, counted, strict=True):
            first = held = 0
            for index, count in enumerate(groups):
                if held and held + count > limit:
                    parts.append(FilePart(path, first, index))
                    first, held = index, 0
                held += count
            if held:
                parts.append(FilePart(path, first, len(groups)))
        return cls(root, dict(storage_options), tuple(parts), rows, sum(map(len, counted)))

    @classmethod
    def of_table(cls, lake: Lake, table: str, tasks: int, version: int | None = None) -> ParquetScan:
        """The files of a Delta table, in order of their names."""
        return cls.of_files(lake.table_uri(table), table_files(lake.open(table, version)), lake.storage_options, tasks)

    def frame(self, session: SparkSession) -> DataFrame:
        """One row for each part, one partition for each row: what :meth:`batches` and :meth:`peek` take."""
        rows = [(index,) for index in range(len(self.parts))]
        # A frame made from rows may have several of them in a partition.
        return session.createDataFrame(rows, "part int").repartitionById(max(1, len(rows)), "part")

    def batches(self, parts: Iterator[pa.RecordBatch], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Rows of a task's parts, ``BATCH_ROWS`` at a time; runs in the task."""
        for part, file in self._open(parts):
            groups = list(range(part.first, part.last))
            yield from file.iter_batches(BATCH_ROWS, groups, list(columns), use_threads=False)

    def peek(self, parts: Iterator[pa.RecordBatch], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The first rows of row groups spread over a task's parts, to learn how keys are distributed."""
        step = max(1, self.groups // PEEKED_GROUPS)
        whole = self.rows <= PEEKED_ROWS * PEEKED_GROUPS // 4
        for part, file in self._open(parts):
            for group in range(part.first, part.last, step):
                batches = file.iter_batches(PEEKED_ROWS, [group], list(columns), use_threads=False)
                for batch in batches:
                    yield batch
                    if not whole:
                        break

    def _open(self, parts: Iterator[pa.RecordBatch]) -> Iterator[tuple[FilePart, pq.ParquetFile]]:
        filesystem, prefix = open_folder(self.root, self.storage_options)
        for batch in parts:
            for index in batch.column("part").to_pylist():
                part = self.parts[index]
                source = filesystem.open_input_file(prefix + part.path)
                with pq.ParquetFile(source, pre_buffer=False, page_checksum_verification=True) as file:
                    yield part, file
