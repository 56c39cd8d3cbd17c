"""An edge table becomes CSR: one sorted run streams through, several are merged."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gnnscale.arrays import create_array
from gnnscale.schema import DataError
from gnnscale.store.adjacency import MOST_NODES, quantise, relative_times

if TYPE_CHECKING:
    import pyarrow as pa

Run = Callable[[Sequence[str]], "Iterator[pa.RecordBatch]"]
"""Reads the named columns of rows that are sorted by (source, time, target), from the first row at every call."""

_RUN_NAME = re.compile(r"run-(\d{4})-part-\d{6}-")


def split_runs(paths: Iterable[str]) -> list[list[str]]:
    """Files of an edge table, by the sorted run that they are part of.

    Args:
        paths: ``run-<4 digits>-part-<6 digits>-<uuid>.parquet``; files of other names are one run together.

    Returns:
        Runs in order of their number, files of other names first; within a run, files in order of name, which is the
        order of their rows.
    """
    runs: dict[str, list[str]] = {}
    for path in sorted(paths):
        found = _RUN_NAME.match(path.rpartition("/")[2])
        runs.setdefault(found[1] if found else "", []).append(path)
    return [runs[number] for number in sorted(runs)]


def write_adjacency(
    folder: Path,
    runs: Sequence[Run],
    nodes: int,
    edges: int,
    origin: int,
    name: str,
    max_weight: float | None = None,
    max_degree: int = MOST_NODES,
) -> None:
    """Stream an edge table into the arrays that :meth:`Adjacency.open` maps.

    Any division of the rows into runs gives the same arrays. Rows alike in source, time and target come in order of
    their runs. One run is read once; several are read twice, sources to count and then everything, so that no more is
    held than a batch, two numbers a node and the edges of one node.

    Args:
        folder: gets ``indptr.npy``, ``neighbors.npy``, ``times.npy`` and, with weights, ``cumulative.npy``.
        runs: columns source, target (int32 or int64), time (epoch seconds or null, null first) and, with weights,
            weight (float32).
        nodes: number of sources.
        edges: number of rows in all runs.
        origin: epoch seconds that times count from.
        name: of the edge table, for messages.
        max_weight: largest weight of an edge; None: edges have no weight.
        max_degree: most edges a node; draws number no more.

    Raises:
        DataError: a run is not sorted, the rows are not ``edges``, an end or a weight is out of range, or a node has
            more than ``max_degree`` edges.
    """
    table = _EdgeTable(runs, nodes, edges, origin, name, max_weight)
    arrays = _Arrays(
        create_array(folder / "neighbors.npy", np.int32, (edges,)),
        create_array(folder / "times.npy", np.int32, (edges,)),
        None if max_weight is None else create_array(folder / "cumulative.npy", np.uint64, (edges + 1,)),
    )
    counts = _stream(table, arrays) if len(runs) == 1 else _merge(table, arrays)
    if counts.size and counts.max() > max_degree:
        raise DataError(f"{name} has a node of {counts.max():,} edges; at most {max_degree:,}")
    np.save(folder / "indptr.npy", _indptr(counts))
    if arrays.cumulative is not None:
        _accumulate(np.asarray(arrays.cumulative))
        arrays.cumulative.flush()
    arrays.neighbors.flush()
    arrays.times.flush()


@dataclass(frozen=True)
class _Rows:
    """Some edges: sources int64, targets and times int32, quantised weights uint64 or None, each ``[rows]``."""

    sources: NDArray[np.int64]
    targets: NDArray[np.int32]
    times: NDArray[np.int32]
    quanta: NDArray[np.uint64] | None


@dataclass(frozen=True)
class _Arrays:
    """What is built: ``[edges]`` twice, and ``[edges + 1]`` or None, which holds weights until they are summed."""

    neighbors: np.memmap[Any, np.dtype[np.int32]]
    times: np.memmap[Any, np.dtype[np.int32]]
    cumulative: np.memmap[Any, np.dtype[np.uint64]] | None

    def put(self, rows: _Rows, where: slice | NDArray[np.int64]) -> None:
        """Keep edges at their positions."""
        self.neighbors[where] = rows.targets
        self.times[where] = rows.times
        if self.cumulative is not None and rows.quanta is not None:
            self.cumulative[1:][where] = rows.quanta


@dataclass(frozen=True)
class _EdgeTable:
    """The arguments of :func:`write_adjacency`, and the table's rows as they are read and checked."""

    runs: Sequence[Run]
    nodes: int
    edges: int
    origin: int
    name: str
    max_weight: float | None

    def rows(self, run: Run) -> Iterator[_Rows]:
        """One run, batch by batch."""
        columns = ["source", "target", "time", *(["weight"] if self.max_weight is not None else [])]
        last = -1, 0, 0
        for batch in run(columns):
            if batch.num_rows == 0:
                continue
            sources, targets = self.ids(batch, "source", self.nodes), self.ids(batch, "target", MOST_NODES)
            times = relative_times(batch.column("time"), self.origin)
            if not _in_order(sources, times, targets, *last):
                raise DataError(f"{self.name} is not sorted by source, time and target; build the graph again")
            last = int(sources[-1]), int(times[-1]), int(targets[-1])
            yield _Rows(sources, targets.astype(np.int32), times, self._quanta(batch))

    def ids(self, batch: pa.RecordBatch, column: str, limit: int) -> NDArray[np.int64]:
        """Node ids, each under ``limit``."""
        values = batch.column(column)
        ids: NDArray[np.int64] = values.to_numpy(zero_copy_only=False)
        if values.null_count or (ids.size and (ids.min() < 0 or ids.max() >= limit)):
            raise DataError(f"{self.name} has a {column} that is not a node in 0 .. {limit - 1:,}")
        return ids.astype(np.int64, copy=False)

    def check_count(self, rows: int) -> None:
        """Refuse another number of rows than was promised."""
        if rows != self.edges:
            raise DataError(f"{self.name} has not the {self.edges:,} rows that its commit says; build the graph again")

    def _quanta(self, batch: pa.RecordBatch) -> NDArray[np.uint64] | None:
        if self.max_weight is None:
            return None
        # A missing weight comes as NaN.
        weights = batch.column("weight").to_numpy(zero_copy_only=False).astype(np.float64)
        wrong = weights[~((weights > 0) & (weights <= self.max_weight) & np.isfinite(weights))]
        if wrong.size:
            raise DataError(
                f"{self.name} has an edge of weight {wrong[0]}; weights must be finite, over 0 and at most "
                f"{self.max_weight}, the largest that the graph stage saw"
            )
        return quantise(weights, self.max_weight)


def _stream(table: _EdgeTable, arrays: _Arrays) -> NDArray[np.int64]:
    """Rows of the only run lie where they are; returns edges a node."""
    counts, at = np.zeros(table.nodes, np.int64), 0
    for rows in table.rows(table.runs[0]):
        end = at + len(rows.sources)
        if end > table.edges:
            table.check_count(end)
        arrays.put(rows, slice(at, end))
        _count(rows.sources, counts)
        at = end
    table.check_count(at)
    return counts


def _merge(table: _EdgeTable, arrays: _Arrays) -> NDArray[np.int64]:
    """Rows go to the next free position of their source, run by run; returns edges a node."""
    counts = np.zeros(table.nodes, np.int64)
    for run in table.runs:
        for batch in run(["source"]):
            _count(table.ids(batch, "source", table.nodes), counts)
    table.check_count(int(counts.sum()))
    indptr = _indptr(counts)
    cursor = indptr[:-1].copy()
    for run in table.runs:
        for rows in table.rows(run):
            arrays.put(rows, _places(rows.sources, cursor))
    weights = np.zeros(0, np.uint64) if arrays.cumulative is None else np.asarray(arrays.cumulative)[1:]
    _sort_sources(indptr, np.asarray(arrays.neighbors), np.asarray(arrays.times), weights)
    return counts


def _indptr(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])


@njit(nogil=True, cache=True)
def _in_order(sources, times, targets, source, time, target):  # type: ignore[no-untyped-def]
    """Whether rows that come after (source, time, target) are sorted."""
    for i in range(len(sources)):
        if sources[i] < source:
            return False
        if sources[i] == source and (times[i] < time or (times[i] == time and targets[i] < target)):
            return False
        source, time, target = sources[i], np.int64(times[i]), targets[i]
    return True


@njit(nogil=True, cache=True)
def _count(sources, counts):  # type: ignore[no-untyped-def]
    for source in sources:
        counts[source] += 1


@njit(nogil=True, cache=True)
def _places(sources, cursor):  # type: ignore[no-untyped-def]
    places = np.empty(len(sources), np.int64)
    for i, source in enumerate(sources):
        places[i] = cursor[source]
        cursor[source] += 1
    return places


@njit(nogil=True, cache=True)
def _accumulate(values):  # type: ignore[no-untyped-def]
    for i in range(1, len(values)):
        values[i] += values[i - 1]


@njit(nogil=True, cache=True)
def _stretch_end(keys, order, start):  # type: ignore[no-untyped-def]
    end = start + 1
    while end < len(order) and keys[order[end - 1]] <= keys[order[end]]:
        end += 1
    return end


@njit(nogil=True, cache=True)
def _merged_order(keys):  # type: ignore[no-untyped-def]
    """Positions of the keys in ascending order, equal ones as they stand: a natural merge sort.

    A source's edges are one ascending stretch a run, so that n edges of k runs take n log k steps.
    """
    count = len(keys)
    order, merged = np.arange(count), np.empty(count, np.int64)
    stretches = count
    while stretches > 1:
        start, stretches = 0, 0
        while start < count:
            middle = _stretch_end(keys, order, start)
            end = _stretch_end(keys, order, middle) if middle < count else count
            left, right = start, middle
            for i in range(start, end):
                if right == end or (left < middle and keys[order[left]] <= keys[order[right]]):
                    merged[i] = order[left]
                    left += 1
                else:
                    merged[i] = order[right]
                    right += 1
            start, stretches = end, stretches + 1
        order, merged = merged, order
    return order


@njit(nogil=True, cache=True)
def _sort_sources(indptr, neighbors, times, weights):  # type: ignore[no-untyped-def]
    """Sort the edges of each source by (time, target) in place, where they are not; ``weights`` may be empty."""
    for node in range(len(indptr) - 1):
        low, high = indptr[node], indptr[node + 1]
        # One number an edge that orders as the pair does: targets are not negative.
        ordered, before = True, np.iinfo(np.int64).min
        for i in range(low, high):
            key = np.int64(times[i]) * 2**32 + neighbors[i]
            if key < before:
                ordered = False
                break
            before = key
        if ordered:
            continue
        keys = times[low:high].astype(np.int64) * 2**32 + neighbors[low:high]
        order = _merged_order(keys)
        neighbors[low:high] = neighbors[low:high][order]
        times[low:high] = times[low:high][order]
        if len(weights):
            weights[low:high] = weights[low:high][order]
