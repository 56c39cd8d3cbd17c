"""Edges of a link in both directions, sorted by (source, time)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from gnnscale.etl.edges.edge_blocks import EdgeColumns
from gnnscale.etl.edges.edge_readers import epoch_seconds, node_ids
from gnnscale.etl.ids.node_column import NodeColumn
from gnnscale.etl.spark.parquet_scan import ParquetScan

UNDATED = np.iinfo(np.int64).min
"""Time of a parent that always holds."""


@dataclass(frozen=True)
class LinkEdges:
    """One edge for each row whose foreign key matches, from the later of both ends' times on, or from the origin.

    Args:
        files: of ``nodes_<table>``, whose rows hold the key.
        column: the foreign key.
        origin: epoch seconds that stamps count from.
        parent_times: epoch seconds of the parents, ``UNDATED`` where one always holds; None where all do.
    """

    files: ParquetScan
    column: str
    origin: int
    parent_times: NodeColumn | None = None
    weighted: bool = False

    def edges(self, batches: Iterator[pa.RecordBatch]) -> Iterator[EdgeColumns]:
        """All edges of a task, from child to parent."""
        return (self._columns(batch) for batch in self.files.batches(batches, self._names()))

    def sample(self, batches: Iterator[pa.RecordBatch]) -> Iterator[EdgeColumns]:
        """Edges of the first rows of row groups."""
        return (self._columns(batch) for batch in self.files.peek(batches, self._names()))

    def _names(self) -> list[str]:
        return ["node_id", f"fk_{self.column}", "time"]

    def _columns(self, batch: pa.RecordBatch) -> EdgeColumns:
        child, key, time = (batch.column(name) for name in self._names())
        parent = node_ids(key)
        times, timeless = epoch_seconds(time, UNDATED)
        if self.parent_times is not None:
            held = self.parent_times.array()[np.maximum(parent, 0)]
            times = np.maximum(times, held)
            timeless = times == UNDATED
        if timeless is not None:
            times = np.where(timeless, self.origin, times)
        times = np.maximum(times, self.origin)
        return EdgeColumns.of(node_ids(child), parent, times, timeless, self.origin)
