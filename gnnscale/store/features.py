"""Encoded features of a table in memory: float and integer columns, row = node id."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from gnnscale.schema import DataError, TableManifest
from gnnscale.store.adjacency import ALWAYS, relative_times

NEVER = np.iinfo(np.int32).max
"""End of a node that holds for good."""


@dataclass(frozen=True)
class NodeFeatures:
    """Features of all nodes of a table.

    Args:
        numerical: float32 ``[nodes, numerical columns]``, in the manifest's order.
        categorical: int32 ``[nodes, categorical columns]``; code 0 is missing or unknown.
        times: int32 ``[nodes]``, seconds after the graph's origin.
        ends: int32 ``[nodes]``, from when on a node no longer holds, ``NEVER`` where it always will; None for tables
            whose rows don't end.
    """

    numerical: NDArray[np.float32]
    categorical: NDArray[np.int32]
    times: NDArray[np.int32]
    ends: NDArray[np.int32] | None = None

    @classmethod
    def open(cls, folder: Path) -> NodeFeatures:
        """Map the arrays of a folder."""
        names = ("numerical", "categorical", "times", "ends")
        return cls(**{n: np.load(folder / f"{n}.npy", mmap_mode="r") for n in names if (folder / f"{n}.npy").exists()})

    def alive(self, nodes: NDArray[Any], anchors: NDArray[Any] | int) -> NDArray[np.bool_]:
        """Which nodes hold at their anchors: there by then, and not yet ended.

        Args:
            nodes: node ids, int.
            anchors: seconds after the graph's origin, of a shape that broadcasts with ``nodes``.
        """
        there: NDArray[np.bool_] = self.times[nodes] <= anchors
        return there if self.ends is None else there & (self.ends[nodes] > anchors)


def write_features(folder: Path, batches: Iterator[pa.RecordBatch], table: TableManifest, origin: int) -> None:
    """Stream ``nodes_<table>`` into the arrays that :meth:`NodeFeatures.open` maps.

    Raises:
        DataError: node ids are not 0 to rows - 1, each once.
    """
    floats, codes = (table.rows, len(table.numerical)), (table.rows, len(table.categorical))
    numerical = open_memmap(folder / "numerical.npy", mode="w+", dtype=np.float32, shape=floats)
    categorical = open_memmap(folder / "categorical.npy", mode="w+", dtype=np.int32, shape=codes)
    times = open_memmap(folder / "times.npy", mode="w+", dtype=np.int32, shape=(table.rows,))
    ends = open_memmap(folder / "ends.npy", mode="w+", dtype=np.int32, shape=(table.rows,)) if table.ends else None
    seen = np.zeros(table.rows, bool)
    for batch in batches:
        ids = batch.column("node_id").to_numpy()
        if ids.size and (ids.min() < 0 or ids.max() >= table.rows or seen[ids].any()):
            raise DataError(f"nodes_{table.name} has a node id twice or out of range; build the graph again")
        seen[ids] = True
        for index, feature in enumerate(table.numerical):
            numerical[ids, index] = batch.column(f"num_{feature.column}").to_numpy()
        for index, feature in enumerate(table.categorical):
            categorical[ids, index] = batch.column(f"cat_{feature.column}").to_numpy()
        times[ids] = relative_times(batch.column("time"), origin)
        if ends is not None:
            column = batch.column("end_time")
            # An end in the year 9999 means never.
            seconds = column.fill_null(origin + NEVER).to_numpy(zero_copy_only=False) - origin
            ends[ids] = np.clip(seconds, ALWAYS, NEVER)
    if not seen.all():
        raise DataError(f"nodes_{table.name} lacks {int((~seen).sum()):,} of {table.rows:,} node ids")
    for array in (numerical, categorical, times, ends):
        if array is not None:
            array.flush()
