"""Compiled loops over sparse matrices: scores from item weights, and the best of a row."""

from __future__ import annotations

import os

import numpy as np
import scipy.sparse
from numba import njit
from numpy.typing import NDArray

from gnnscale.arrays import Ids, Ragged, share_rows
from gnnscale.collaborative.interactions import Scores


def threads() -> int:
    """Cores of this process."""
    return len(os.sched_getaffinity(0))


def weighted_scores(rows: scipy.sparse.csr_matrix, weights: scipy.sparse.csr_matrix) -> Scores:
    """The dense product of two sparse matrices, ``[B, I] x [I, J]`` to float32 ``[B, J]``.

    Much faster than a sparse product where most of the result is not 0.
    """
    found = np.zeros((rows.shape[0], weights.shape[1]), np.float32)

    def work(stretch: slice) -> None:
        _add_rows(
            rows.indptr[stretch.start : stretch.stop + 1],
            rows.indices,
            rows.data,
            weights.indptr,
            weights.indices,
            weights.data,
            found[stretch],
        )

    share_rows(rows.shape[0], threads(), work)
    return found


@njit(nogil=True, cache=True, fastmath=True)
def _add_rows(indptr, indices, data, w_indptr, w_indices, w_data, out):  # type: ignore[no-untyped-def]
    for row in range(len(indptr) - 1):
        for at in range(indptr[row], indptr[row + 1]):
            item, value = indices[at], data[at]
            for place in range(w_indptr[item], w_indptr[item + 1]):
                out[row, w_indices[place]] += value * w_data[place]


def best_items(scores: Scores, seen: Ragged, k: int, last: Ragged | None = None) -> tuple[Ids, Scores]:
    """The k best items of each row that its user has not had.

    Of items with the same score, those of ``last`` come last, and of the others the smaller id first: given the truth,
    ties are broken against the method.

    Args:
        scores: float32 ``[B, n_items]``; items at minus infinity or NaN are never listed.
        seen: what is left out of each row.
        k: length of the lists.
        last: items that lose ties.

    Returns:
        Items, int64 ``[B, k]``, best first, -1 where a list ends early, and their scores, minus infinity there.
    """
    items = np.full((len(scores), k), -1, np.int64)
    found = np.full((len(scores), k), -np.inf, np.float32)
    other = last if last is not None else Ragged(np.zeros(len(scores) + 1, np.int64), np.zeros(0, np.int64))

    def work(part: slice) -> None:
        rows = slice(part.start, part.stop + 1)
        own = np.zeros(scores.shape[1], np.int8)
        _best(
            scores[part],
            seen.indptr[rows],
            seen.values,
            other.indptr[rows],
            other.values,
            own,
            items[part],
            found[part],
        )

    share_rows(len(scores), threads(), work)
    return items, found


@njit(nogil=True, cache=True)
def _best(scores, had_ptr, had, last_ptr, last, mark, items, values):  # type: ignore[no-untyped-def]
    count, k = scores.shape[1], items.shape[1]
    for row in range(len(scores)):
        for at in range(had_ptr[row], had_ptr[row + 1]):
            mark[had[at]] = 2
        for at in range(last_ptr[row], last_ptr[row + 1]):
            if mark[last[at]] == 0:
                mark[last[at]] = 1
        size = 0
        # Two passes, what loses ties second: an item enters where it is above the last of the list.
        for turn in range(2):
            for item in range(count):
                score = scores[row, item]
                if mark[item] != turn or not score > -np.inf or (size == k and not score > values[row, k - 1]):
                    continue
                place = size if size < k else k - 1
                while place > 0 and values[row, place - 1] < score:
                    if place < k:
                        values[row, place] = values[row, place - 1]
                        items[row, place] = items[row, place - 1]
                    place -= 1
                values[row, place], items[row, place] = score, item
                size = min(size + 1, k)
        for at in range(had_ptr[row], had_ptr[row + 1]):
            mark[had[at]] = 0
        for at in range(last_ptr[row], last_ptr[row + 1]):
            mark[last[at]] = 0


def row_statistics(scores: Scores) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation of each row, float32 ``[B]``; the latter 1 where all are equal."""
    mean = scores.mean(axis=1, dtype=np.float32)
    deviation = np.sqrt(np.maximum(np.einsum("bi,bi->b", scores, scores) / scores.shape[1] - mean * mean, 0))
    return mean, np.where(deviation > 1e-12, deviation, 1).astype(np.float32)
