"""Kernels of the grouped search: the scores of one cluster are gone through once, and what is good enough is kept.

Each query keeps up to twice as many candidates as it needs. When they are full, the better half stays, and the worst of
it is the score to beat from then on. bf16 scores come as the int16 of their bits.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

INSERTED = 256
"""More candidates than so many are sorted."""
WIDTH = np.uintp(64)
"""Scores whose largest is compared before any of them is."""


@numba.njit(inline="always")
def ordered_bits(bits: Any) -> Any:
    """A float's bits so that their order as integers is the float's: a negative one's have to be turned around."""
    return np.int16(bits ^ np.int16(np.int16(bits >> 15) & np.int16(0x7FFF)))


@numba.njit(nogil=True, cache=True)
def keep_largest(scores: NDArray[np.float32], positions: NDArray[np.int32], count: int, kept: int) -> float:
    """Bring the ``kept`` largest of ``count`` scores to the front, in any order, with their positions.

    Returns:
        The smallest of them.
    """
    low, high = 0, count - 1
    while low < high:
        pivot = scores[(low + high) >> 1]
        i, j = low, high
        while i <= j:
            while scores[i] > pivot:
                i += 1
            while scores[j] < pivot:
                j -= 1
            if i <= j:
                scores[i], scores[j] = scores[j], scores[i]
                positions[i], positions[j] = positions[j], positions[i]
                i += 1
                j -= 1
        if kept - 1 <= j:
            high = j
        elif kept - 1 >= i:
            low = i
        else:
            break
    least = scores[0]
    for i in range(1, kept):
        least = min(least, scores[i])
    return least


@numba.njit(inline="always")
def bits_not_above(limit: np.float32, room: NDArray[np.float32], bits: NDArray[np.int32]) -> Any:
    """Ordered bits of a bf16 number that is not above a limit, and no more than two steps below it.

    Args:
        limit: a float32.
        room: space for it, ``[1]``.
        bits: the same memory as integers.
    """
    room[0] = limit
    # Leaving the lower half out takes a number towards zero, which is up for a negative one.
    high = ordered_bits(np.int16(bits[0] >> 16))
    return np.int16(high - 1) if limit < 0 and high > -32768 else high


@numba.njit(inline="always")
def largest_bits(scores: NDArray[np.int16], row: int, start: Any) -> Any:
    """Ordered bits of the largest of ``WIDTH`` scores of a row from a column on."""
    largest = np.int16(-32768)
    for j in range(start, start + WIDTH):
        value = ordered_bits(scores[row, j])
        largest = value if value > largest else largest
    return largest


@numba.njit(inline="always")
def keep_candidate(
    best: NDArray[np.float32],
    positions: NDArray[np.int32],
    query: Any,
    count: Any,
    limit: Any,
    score: Any,
    position: Any,
) -> Any:
    """Put a score above the limit, and its position, behind the ``count`` candidates of a query.

    Returns:
        How many candidates there are then, and the score to beat: when they are full, the better half stays.
    """
    best[query, count] = score
    positions[query, count] = position
    count += 1
    if count == best.shape[1]:
        count = count // 2
        limit = keep_largest(best[query], positions[query], best.shape[1], count)
    return count, limit


@numba.njit(nogil=True, cache=True)
def scan_bf16(
    scores: NDArray[np.int16],
    queries: NDArray[np.int32],
    offsets: NDArray[np.float32],
    table: NDArray[np.float32],
    columns: tuple[int, int],
    position: int,
    best: NDArray[np.float32],
    positions: NDArray[np.int32],
    counts: NDArray[np.int32],
    limits: NDArray[np.float32],
) -> None:
    """Go through the scores of some queries with the targets of one cluster.

    Args:
        scores: bits of bf16, ``[queries or more, targets or more]``, less the offset of the query.
        queries: which these are, ``[queries]``.
        offsets: to be added to a query's scores, ``[queries]``.
        table: number of each bit pattern, ``[65536]``.
        columns: first column and that after the last one of the cluster's targets.
        position: of the target of column 0.
        best, positions: candidates of all queries, ``[all queries, twice what is kept]``.
        counts, limits: candidates of each query and the score to beat, ``[all queries]``.
    """
    # Unsigned, since an index that might be negative keeps loops from being vectorised.
    begin, end = np.uintp(columns[0]), np.uintp(columns[1])
    room = np.empty(1, np.float32)
    bits = room.view(np.int32)
    for i in range(len(queries)):
        query, offset = queries[i], offsets[i]
        count, limit = counts[query], limits[query]
        bar = bits_not_above(limit - offset, room, bits)
        for start in range(begin, end, WIDTH):
            stop = start + WIDTH
            if stop <= end:
                if largest_bits(scores, i, start) <= bar:
                    continue
            else:
                stop = end
            for j in range(start, stop):
                if ordered_bits(scores[i, j]) > bar:
                    score = table[np.uint16(scores[i, j])] + offset
                    if score > limit:
                        count, limit = keep_candidate(
                            best, positions, query, count, limit, score, position + np.int64(j)
                        )
                        bar = bits_not_above(limit - offset, room, bits)
        counts[query], limits[query] = count, limit


@numba.njit(nogil=True, cache=True)
def scan_fp32(
    scores: NDArray[np.float32],
    queries: NDArray[np.int32],
    columns: tuple[int, int],
    position: int,
    best: NDArray[np.float32],
    positions: NDArray[np.int32],
    counts: NDArray[np.int32],
    limits: NDArray[np.float32],
) -> None:
    """As :func:`scan_bf16`, of whole scores in float32."""
    # Unsigned, since an index that might be negative keeps loops from being vectorised.
    begin, end = np.uintp(columns[0]), np.uintp(columns[1])
    for i in range(len(queries)):
        query = queries[i]
        count, limit = counts[query], limits[query]
        for start in range(begin, end, WIDTH):
            stop = min(start + WIDTH, end)
            beaten = 0
            for j in range(start, stop):
                beaten += scores[i, j] > limit
            if not beaten:
                continue
            for j in range(start, stop):
                score = scores[i, j]
                if score > limit:
                    count, limit = keep_candidate(best, positions, query, count, limit, score, position + np.int64(j))
        counts[query], limits[query] = count, limit


@numba.njit(nogil=True, cache=True)
def insert_best(
    best: NDArray[np.float32],
    positions: NDArray[np.int32],
    ids: NDArray[np.int32],
    targets: NDArray[np.int64],
    scores: NDArray[np.float32],
) -> int:
    """Put few candidates of one query in order; returns how many positions they fill."""
    k, filled = len(targets), 0
    for x in range(len(best)):
        score, target = best[x], np.int64(ids[positions[x]])
        if filled == k:
            if score < scores[k - 1] or (score == scores[k - 1] and target > targets[k - 1]):
                continue
        else:
            filled += 1
        y = filled - 1
        while y > 0 and (scores[y - 1] < score or (scores[y - 1] == score and targets[y - 1] > target)):
            scores[y] = scores[y - 1]
            targets[y] = targets[y - 1]
            y -= 1
        scores[y] = score
        targets[y] = target
    return filled


@numba.njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def score_again(
    queries: NDArray[np.float32],
    vectors: NDArray[np.float32],
    ids: NDArray[np.int32],
    best: NDArray[np.float32],
    positions: NDArray[np.int32],
    counts: NDArray[np.int32],
    targets: NDArray[np.int64],
    scores: NDArray[np.float32],
) -> None:
    """Score the candidates in full precision and write the best, in order; equal scores go to the smaller id.

    Args:
        queries: ``[queries, channels]``.
        vectors: of all targets by position, ``[targets, channels]``.
        ids: of the targets by position.
        best, positions, counts: candidates, as :func:`scan_bf16` leaves them.
        targets, scores: are written, ``[queries, k]``; -1 and minus infinity where there are fewer.
    """
    k = targets.shape[1]
    channels = queries.shape[1]
    for query in range(len(queries)):
        count = counts[query]
        half = best.shape[1] // 2
        if count > half:
            keep_largest(best[query], positions[query], count, half)
            count = half
        for x in range(count):
            score = np.float32(0)
            for c in range(channels):
                score += queries[query, c] * vectors[positions[query, x], c]
            best[query, x] = score
        if count > INSERTED:
            by_id = np.argsort(ids[positions[query, :count]])
            order = by_id[np.argsort(-best[query, :count][by_id], kind="mergesort")]
            filled = min(count, k)
            for y in range(filled):
                scores[query, y] = best[query, order[y]]
                targets[query, y] = ids[positions[query, order[y]]]
        else:
            filled = insert_best(best[query, :count], positions[query], ids, targets[query], scores[query])
        for y in range(filled, k):
            targets[query, y] = -1
            scores[query, y] = -np.inf


@numba.njit(nogil=True, cache=True)
def largest_bf16(scores: NDArray[np.int16], found: NDArray[np.int32]) -> None:
    """Column of the largest score of every row, the first of equals; scores are bits of bf16."""
    rows, width = scores.shape
    for i in range(rows):
        best = np.int16(-32768)
        found[i] = 0
        for start in range(np.uintp(0), np.uintp(width), WIDTH):
            stop = start + WIDTH
            if stop <= width:
                if largest_bits(scores, i, start) <= best:
                    continue
            else:
                stop = np.uintp(width)
            for j in range(start, stop):
                value = ordered_bits(scores[i, j])
                if value > best:
                    best = value
                    found[i] = j


@numba.njit(nogil=True, cache=True)
def list_queries(
    promised: NDArray[np.float32], least: NDArray[np.float32], positions: NDArray[np.int64], rows: NDArray[np.int32]
) -> None:
    """Write the queries of each list, one list after the other.

    Args:
        promised: what lists promise to queries, ``[queries, lists]``.
        least: what a query looks at, ``[queries]``.
        positions: where each list's queries begin in ``rows``, ``[lists]``; moves on.
        rows: are written.
    """
    for i in range(promised.shape[0]):
        for j in range(promised.shape[1]):
            if promised[i, j] >= least[i]:
                rows[positions[j]] = i
                positions[j] += 1
