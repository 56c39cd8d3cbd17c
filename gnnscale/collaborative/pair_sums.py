"""How often items were had together: the product of a matrix of users and items with itself, pruned as it is built."""

from __future__ import annotations

from typing import Final

import numpy as np
import scipy.sparse
from numba import njit
from numpy.typing import NDArray

from gnnscale.arrays import share_rows
from gnnscale.collaborative.sparse_kernels import threads

FEWEST_KEPT: Final = 64
"""Neighbors that an item keeps however many there are in all."""


def pair_sums(matrix: scipy.sparse.csr_matrix, most_entries: int) -> scipy.sparse.csr_matrix:
    """``X' X`` without its diagonal, built in blocks of rows that are pruned as they come.

    Args:
        matrix: X, float32 CSR ``[n_users, n_items]``, no entry below 0.
        most_entries: about how many the result may have; of more, every row keeps the same share of its entries, the
            largest, and no fewer than 64.

    Returns:
        float32 CSR ``[n_items, n_items]``, columns ascending.
    """
    count = matrix.shape[1]
    columns = matrix.tocsc()
    entries = _entry_counts(matrix, columns)
    total = int(entries.sum())
    kept = entries
    if total > most_entries:
        kept = np.minimum(entries, np.maximum(FEWEST_KEPT, np.ceil(entries * (most_entries / total)))).astype(np.int64)
    indptr = np.concatenate(([0], np.cumsum(kept)))
    indices, data = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], np.float32)
    flat = (matrix.indptr, matrix.indices, matrix.data, columns.indptr, columns.indices, columns.data)
    share_items(count, lambda items, work, mark: _sum_pairs(*flat, items, indptr, indices, data, work, mark))
    return scipy.sparse.csr_matrix((data, indices, indptr), shape=(count, count))


def _entry_counts(matrix: scipy.sparse.csr_matrix, columns: scipy.sparse.csc_matrix) -> NDArray[np.int64]:
    counts = np.zeros(matrix.shape[1], np.int64)
    flat = (matrix.indptr, matrix.indices, columns.indptr, columns.indices)
    share_items(matrix.shape[1], lambda items, work, mark: _count_pairs(*flat, items, counts, mark))
    return counts


def share_items(count: int, run) -> None:  # type: ignore[no-untyped-def]
    """Give every thread the items of a stride of its own: neighbors in number are often alike in cost."""
    lanes = threads()

    def work(stretch: slice) -> None:
        for lane in range(stretch.start, stretch.stop):
            run(np.arange(lane, count, lanes), np.zeros(count, np.float32), np.full(count, -1, np.int32))

    share_rows(lanes, lanes, work)


@njit(nogil=True, cache=True)
def _count_pairs(indptr, indices, c_indptr, c_indices, items, counts, mark):  # type: ignore[no-untyped-def]
    for item in items:
        found = 0
        mark[item] = item
        for at in range(c_indptr[item], c_indptr[item + 1]):
            user = c_indices[at]
            for place in range(indptr[user], indptr[user + 1]):
                if mark[indices[place]] != item:
                    mark[indices[place]] = item
                    found += 1
        counts[item] = found


@njit(nogil=True, cache=True, fastmath=True)
def _sum_pairs(  # type: ignore[no-untyped-def]
    indptr, indices, data, c_indptr, c_indices, c_data, items, out_ptr, out_indices, out_data, sums, mark
):
    touched = np.empty(len(sums), np.int32)
    for item in items:
        found = 0
        mark[item] = item
        for at in range(c_indptr[item], c_indptr[item + 1]):
            user, weight = c_indices[at], c_data[at]
            for place in range(indptr[user], indptr[user + 1]):
                other = indices[place]
                if mark[other] != item:
                    mark[other] = item
                    touched[found] = other
                    found += 1
                    sums[other] = weight * data[place]
                elif other != item:
                    sums[other] += weight * data[place]
        own = np.sort(touched[:found])
        start, kept = out_ptr[item], out_ptr[item + 1] - out_ptr[item]
        if kept == found:
            for i in range(found):
                out_indices[start + i], out_data[start + i] = own[i], sums[own[i]]
            continue
        least, level = np.sort(sums[own])[found - kept], 0
        for i in range(found):
            level += sums[own[i]] > least
        # Of those as strong as the last, the first ones.
        level, place = kept - level, start
        for i in range(found):
            value = sums[own[i]]
            if value > least or (value == least and level > 0):
                level -= value == least
                out_indices[place], out_data[place] = own[i], value
                place += 1
