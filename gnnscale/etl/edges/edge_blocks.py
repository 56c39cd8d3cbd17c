"""Edges as packed blocks: dealt out to ranges on the map side, merged and sorted on the reduce side.

An edge is a source (32 bits) and a payload (64 bits): the stamp in the upper half, the target in the lower. A stamp is
the time in seconds after an origin, plus one, and 0 for an edge that always holds. Ascending (source, payload) is then
the order of an edge table: by source, time with null first, and target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gnnscale.schema import DataError

if TYPE_CHECKING:
    import pyarrow as pa

TARGET_BITS = np.uint64(32)
TARGET_MASK = np.uint64(2**32 - 1)
LARGEST_STAMP = 2**32 - 1

BLOCK_EDGES = 1 << 14
"""Most edges of a block: what is larger than some hundred kilobytes costs the JVM more for each byte."""

_ALIGNMENT = 8
_INSERTION = 24


@dataclass(frozen=True)
class EdgeColumns:
    """Edges in columns.

    Args:
        source: uint32 ``[edges]``.
        payload: uint64 ``[edges]``, see above.
        weight: float32 ``[edges]``; None where edges have none.
    """

    source: NDArray[np.uint32]
    payload: NDArray[np.uint64]
    weight: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.source)

    @classmethod
    def of(
        cls,
        source: NDArray[np.int64] | NDArray[np.int32],
        target: NDArray[np.int64] | NDArray[np.int32],
        times: NDArray[np.int64],
        timeless: NDArray[np.bool_] | None,
        origin: int,
        weight: NDArray[np.float32] | None = None,
    ) -> EdgeColumns:
        """Pack columns.

        Args:
            source, target: node ids ``[edges]``; edges with a negative id at either end are left out.
            times: epoch seconds ``[edges]``.
            timeless: which edges always hold, bool ``[edges]``; their time does not count. None: none does.
            origin: epoch seconds that no time is before.
            weight: ``[edges]``.

        Raises:
            DataError: a time is before the origin, or 136 years after it.
        """
        none = np.empty(0, np.bool_)
        packed, sources, kept, late = _pack(
            source, target, times, none if timeless is None else timeless, origin, LARGEST_STAMP
        )
        if late:
            raise DataError(
                f"times of edges reach from {times.min()} to {times.max()} (epoch seconds); edges of this table hold "
                f"what is from {origin} to {origin + LARGEST_STAMP - 1}"
            )
        if weight is not None and kept < len(sources):
            weight = weight[(source >= 0) & (target >= 0)]
        return cls(sources[:kept], packed[:kept], weight)

    def targets(self) -> NDArray[np.int32]:
        """Node ids, int32 ``[edges]``."""
        return (self.payload & TARGET_MASK).astype(np.int32)

    def stamps(self) -> NDArray[np.int64]:
        """Stamps, int64 ``[edges]``."""
        return (self.payload >> TARGET_BITS).astype(np.int64)

    def transposed(self) -> EdgeColumns:
        """The same edges in the other direction, in the same order."""
        payload = (self.payload & ~TARGET_MASK) | self.source.astype(np.uint64)
        return EdgeColumns((self.payload & TARGET_MASK).astype(np.uint32), payload, self.weight)


@dataclass(frozen=True)
class Ranges:
    """Consecutive ranges of (source, payload) that an edge table is cut into.

    A node with many edges may lie in several ranges, so that none of them is much larger than the others.

    Args:
        source: uint32 ``[ranges - 1]``, first source of every range but the first, ascending.
        payload: uint64 ``[ranges - 1]``, its first payload.
    """

    source: NDArray[np.uint32]
    payload: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.source) + 1

    @classmethod
    def of_sample(cls, sample: EdgeColumns, count: int) -> Ranges:
        """About ``count`` ranges that hold equal shares of a sample; one where the sample is empty."""
        if not len(sample):
            return cls(np.empty(0, np.uint32), np.empty(0, np.uint64))
        order = np.lexsort((sample.payload, sample.source))
        places = np.arange(1, count) * len(sample) // count
        bounds = np.stack([sample.source[order][places].astype(np.uint64), sample.payload[order][places]], axis=1)
        bounds = np.unique(bounds, axis=0)
        return cls(bounds[:, 0].astype(np.uint32), np.ascontiguousarray(bounds[:, 1]))


def deal(edges: EdgeColumns, ranges: Ranges) -> list[tuple[int, bytes]]:
    """Pack edges into blocks, each of one range.

    Returns:
        (range, block), ascending; within a block edges keep their order.
    """
    if not len(edges):
        return []
    # One look-up by the source's upper bits finds the first range that can hold it.
    shift = max(0, int(edges.source.max()).bit_length() - 16)
    heads = np.arange((int(edges.source.max()) >> shift) + 1, dtype=np.uint64) << np.uint64(shift)
    starts = np.searchsorted(ranges.source, heads.astype(np.uint32), side="left").astype(np.int32)
    chosen, counts = _choose_ranges(edges.source, edges.payload, ranges.source, ranges.payload, starts, shift)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    source, payload = np.empty_like(edges.source), np.empty_like(edges.payload)
    weight = np.empty(len(edges) if edges.weight is not None else 0, np.float32)
    held = edges.weight if edges.weight is not None else weight
    _scatter(chosen, offsets[:-1].copy(), edges.source, edges.payload, held, source, payload, weight)
    blocks = []
    for index in np.flatnonzero(counts):
        for start in range(offsets[index], offsets[index + 1], BLOCK_EDGES):
            part = slice(start, min(start + BLOCK_EDGES, offsets[index + 1]))
            parts = [payload[part].tobytes(), source[part].tobytes()]
            if edges.weight is not None:
                parts.append(weight[part].tobytes())
            block = b"".join(parts)
            blocks.append((int(index), block + bytes(-len(block) % _ALIGNMENT)))
    return blocks


def unpack(column: pa.Array, counts: NDArray[np.int64], weighted: bool) -> list[EdgeColumns]:
    """Blocks of a binary column as arrays over its buffer.

    Args:
        column: binary ``[blocks]``, as :func:`deal` packs them.
        counts: edges of each block, ``[blocks]``.
        weighted: whether edges have weights.
    """
    edges = []
    for value, count in zip(column, counts, strict=True):
        buffer = value.as_buffer()
        weight = np.frombuffer(buffer, np.float32, count, 12 * count) if weighted else None
        source = np.frombuffer(buffer, np.uint32, count, 8 * count)
        edges.append(EdgeColumns(source, np.frombuffer(buffer, np.uint64, count), weight))
    return edges


def merge(blocks: Sequence[EdgeColumns]) -> EdgeColumns:
    """All edges of the blocks in ascending (source, payload, weight).

    A counting sort by source, then a sort of each source's edges where they are not in order yet, which those of a
    log mostly are.
    """
    total = sum(len(block) for block in blocks)
    weighted = bool(blocks) and blocks[0].weight is not None
    if not total:
        empty = np.empty(0, np.float32) if weighted else None
        return EdgeColumns(np.empty(0, np.uint32), np.empty(0, np.uint64), empty)
    filled = [block for block in blocks if len(block)]
    first = min(int(block.source.min()) for block in filled)
    span = max(int(block.source.max()) for block in filled) - first + 1
    if span > 4 * total + (1 << 20):
        return _sorted_columns(filled)
    cursor = np.zeros(span + 1, np.int64)
    for block in filled:
        _count(block.source, np.uint32(first), cursor)
    np.cumsum(cursor, out=cursor)
    indptr = cursor.copy()
    payload, weight = np.empty(total, np.uint64), np.empty(total if weighted else 0, np.float32)
    for block in filled:
        held = block.weight if block.weight is not None else weight
        _gather(block.source, block.payload, held, np.uint32(first), cursor, payload, weight)
    if weighted:
        _sort_weighted_groups(indptr, payload, weight)
    else:
        _sort_groups(indptr, payload)
    source = np.empty(total, np.uint32)
    _spread(indptr, np.uint32(first), source)
    return EdgeColumns(source, payload, weight if weighted else None)


def _sorted_columns(blocks: Sequence[EdgeColumns]) -> EdgeColumns:
    source = np.concatenate([block.source for block in blocks])
    payload = np.concatenate([block.payload for block in blocks])
    weights = [block.weight for block in blocks if block.weight is not None]
    if not weights:
        order = np.lexsort((payload, source))
        return EdgeColumns(source[order], payload[order])
    weight = np.concatenate(weights)
    order = np.lexsort((weight, payload, source))
    return EdgeColumns(source[order], payload[order], weight[order])


@njit(nogil=True, cache=True)
def _pack(source, target, times, timeless, origin, largest):  # type: ignore[no-untyped-def]
    payload, sources = np.empty(len(source), np.uint64), np.empty(len(source), np.uint32)
    at, late = 0, False
    for i in range(len(source)):
        stamp = np.int64(0)
        if len(timeless) == 0 or not timeless[i]:
            stamp = np.int64(times[i]) - origin + 1
            late |= stamp < 1 or stamp > largest
        if source[i] >= 0 and target[i] >= 0:
            payload[at] = (np.uint64(stamp) << TARGET_BITS) | np.uint64(target[i])
            sources[at] = source[i]
            at += 1
    return payload, sources, at, late


@njit(nogil=True, cache=True)
def _choose_ranges(source, payload, bound_source, bound_payload, starts, shift):  # type: ignore[no-untyped-def]
    chosen = np.empty(len(source), np.int32)
    bounds = len(bound_source)
    counts = np.zeros(bounds + 1, np.int64)
    for i in range(len(source)):
        s = source[i]
        r = starts[s >> np.uint32(shift)]
        while r < bounds and (bound_source[r] < s or (bound_source[r] == s and bound_payload[r] <= payload[i])):
            r += 1
        chosen[i] = r
        counts[r] += 1
    return chosen, counts


@njit(nogil=True, cache=True)
def _scatter(chosen, cursor, source, payload, weight, out_source, out_payload, out_weight):  # type: ignore[no-untyped-def]
    weighted = len(out_weight) > 0
    for i in range(len(chosen)):
        at = cursor[chosen[i]]
        cursor[chosen[i]] = at + 1
        out_source[at] = source[i]
        out_payload[at] = payload[i]
        if weighted:
            out_weight[at] = weight[i]


@njit(nogil=True, cache=True)
def _count(source, first, counts):  # type: ignore[no-untyped-def]
    for i in range(len(source)):
        counts[source[i] - first + 1] += 1


@njit(nogil=True, cache=True)
def _gather(source, payload, weight, first, cursor, out_payload, out_weight):  # type: ignore[no-untyped-def]
    weighted = len(out_weight) > 0
    for i in range(len(source)):
        place = source[i] - first
        at = cursor[place]
        cursor[place] = at + 1
        out_payload[at] = payload[i]
        if weighted:
            out_weight[at] = weight[i]


@njit(nogil=True, cache=True)
def _sort_groups(indptr, payload):  # type: ignore[no-untyped-def]
    for g in range(len(indptr) - 1):
        low, high = indptr[g], indptr[g + 1]
        if high - low <= _INSERTION:
            for i in range(low + 1, high):
                value = payload[i]
                j = i
                while j > low and payload[j - 1] > value:
                    payload[j] = payload[j - 1]
                    j -= 1
                payload[j] = value
        else:
            for i in range(low + 1, high):
                if payload[i] < payload[i - 1]:
                    payload[low:high].sort()
                    break


@njit(nogil=True, cache=True)
def _sort_weighted_groups(indptr, payload, weight):  # type: ignore[no-untyped-def]
    for g in range(len(indptr) - 1):
        low, high = indptr[g], indptr[g + 1]
        if high - low > _INSERTION:
            order = np.argsort(payload[low:high], kind="mergesort")
            payload[low:high] = payload[low:high][order]
            weight[low:high] = weight[low:high][order]
        # What is equal in all but weight lies side by side now, so few steps are left.
        for i in range(low + 1, high):
            value, heavy = payload[i], weight[i]
            j = i
            while j > low and (payload[j - 1] > value or (payload[j - 1] == value and weight[j - 1] > heavy)):
                payload[j] = payload[j - 1]
                weight[j] = weight[j - 1]
                j -= 1
            payload[j] = value
            weight[j] = heavy


@njit(nogil=True, cache=True)
def _spread(indptr, first, source):  # type: ignore[no-untyped-def]
    for g in range(len(indptr) - 1):
        for i in range(indptr[g], indptr[g + 1]):
            source[i] = first + np.uint32(g)
