"""One direction of a link as CSR: whose neighbors, in order of time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from gnnscale.schema import DataError

ALWAYS = np.iinfo(np.int32).min
"""Time of an edge that always holds: before every anchor."""


@dataclass(frozen=True)
class Adjacency:
    """CSR of one edge type.

    Args:
        indptr: int64 ``[nodes + 1]``.
        neighbors: int32 ``[edges]``, ascending in time within a source.
        times: int32 ``[edges]``, seconds after the graph's origin; ``ALWAYS`` for edges that always hold.
        cumulative: uint64 ``[edges + 1]``, running sum from 0 of the weights of all edges, as :func:`quantise` gives
            them; None where edges have no weight.
    """

    indptr: NDArray[np.int64]
    neighbors: NDArray[np.int32]
    times: NDArray[np.int32]
    cumulative: NDArray[np.uint64] | None = None

    @property
    def degrees(self) -> NDArray[np.int64]:
        """Neighbors of each source, int64 ``[nodes]``."""
        return np.diff(self.indptr)

    @classmethod
    def open(cls, folder: Path) -> Adjacency:
        """Map the arrays of a folder; processes of one host share the pages."""
        names = ("indptr", "neighbors", "times", "cumulative")
        return cls(**{n: np.load(folder / f"{n}.npy", mmap_mode="r") for n in names if (folder / f"{n}.npy").exists()})


def quantise(weights: NDArray[np.floating[Any]], max_weight: float) -> NDArray[np.uint64]:
    """Weights as integers, so that draws in proportion to them are exact and the same on every machine.

    ``max(1, floor(weight / max_weight * (2**32 - 1)))`` in float64, in this order: IEEE 754 leaves it no choice.

    Args:
        weights: over 0 and at most ``max_weight``.
        max_weight: largest weight of the edge table.

    Returns:
        uint64, same shape, from 1 to 2**32 - 1.
    """
    scaled = np.floor(weights.astype(np.float64) / max_weight * (2**32 - 1))
    return np.maximum(scaled, 1).astype(np.uint64)


def write_adjacency(
    folder: Path,
    batches: Iterator[pa.RecordBatch],
    nodes: int,
    edges: int,
    origin: int,
    name: str,
    max_weight: float | None = None,
) -> None:
    """Stream an edge table, sorted by (source, time), into the arrays that :meth:`Adjacency.open` maps.

    Args:
        folder: gets ``indptr.npy``, ``neighbors.npy``, ``times.npy`` and, where edges have weights, ``cumulative.npy``.
        batches: columns source, target (int64), time (epoch seconds or null) and, where there is one, weight.
        nodes: number of sources.
        edges: number of rows in all batches.
        origin: epoch seconds that times count from.
        name: of the edge table, for messages.
        max_weight: largest weight; None where edges have none.

    Raises:
        DataError: the rows are not sorted, or their number is not ``edges``.
    """
    neighbors = open_memmap(folder / "neighbors.npy", mode="w+", dtype=np.int32, shape=(edges,))
    times = open_memmap(folder / "times.npy", mode="w+", dtype=np.int32, shape=(edges,))
    cumulative = None
    if max_weight is not None:
        cumulative = open_memmap(folder / "cumulative.npy", mode="w+", dtype=np.uint64, shape=(edges + 1,))
    counts = np.zeros(nodes + 1, np.int64)
    at, last = 0, (-1, int(ALWAYS))
    for batch in batches:
        if batch.num_rows == 0:
            continue
        source = batch.column("source").to_numpy()
        time = relative_times(batch.column("time"), origin)
        step = np.diff(source, prepend=last[0])
        if (step < 0).any() or (np.diff(time.astype(np.int64), prepend=last[1])[step == 0] < 0).any():
            raise DataError(f"{name} is not sorted by source and time; build the graph again")
        end = at + batch.num_rows
        if end > edges:
            break
        neighbors[at:end] = batch.column("target").to_numpy()
        times[at:end] = time
        if cumulative is not None and max_weight is not None:
            quanta = quantise(batch.column("weight").to_numpy(), max_weight)
            cumulative[at + 1 : end + 1] = cumulative[at] + np.cumsum(quanta)
        counts[1:] += np.bincount(source, minlength=nodes)
        at, last = end, (int(source[-1]), int(time[-1]))
    if at != edges:
        raise DataError(f"{name} has not the {edges:,} rows that its commit says; build the graph again")
    np.save(folder / "indptr.npy", np.cumsum(counts))
    neighbors.flush()
    times.flush()
    if cumulative is not None:
        cumulative.flush()


def relative_times(column: pa.Array, origin: int) -> NDArray[np.int32]:
    """Epoch seconds as int32 seconds after ``origin``, null as ``ALWAYS``.

    Raises:
        DataError: a time is more than 68 years from the origin.
    """
    filled = column.fill_null(origin).to_numpy(zero_copy_only=False) - origin
    if filled.size and (abs(int(filled.min())) >= 2**31 - 1 or int(filled.max()) >= 2**31 - 1):
        raise DataError(f"times reach more than 68 years from {origin} (epoch seconds), past what 32 bits hold")
    return np.where(column.is_null().to_numpy(zero_copy_only=False), ALWAYS, filled).astype(np.int32)
