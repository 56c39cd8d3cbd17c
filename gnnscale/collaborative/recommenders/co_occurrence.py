"""Smoothed co-occurrence: how often items were had together, leveled by how much users and items have.

The first order of Turbo-CF (Park et al., 2024, "Turbo-CF: Matrix Decomposition-Free Graph Filtering for Fast
Recommendation", eq. 6 and 7): with R~ = D_U^-a R D_I^-b, scores are R (R~' R~)^s, the power taken of each entry.
"""

from __future__ import annotations

from typing import Annotated, Final

import numpy as np
import scipy.sparse
from numba import njit
from numpy.typing import NDArray
from pydantic import Field

from gnnscale.arrays import share_rows
from gnnscale.collaborative.recommenders.item_weights import ItemWeightRecommender
from gnnscale.collaborative.sparse_kernels import threads
from gnnscale.config import Positive, Section
from gnnscale.schema import RECOMMENDERS

FEWEST_KEPT: Final = 64
"""Neighbors that an item keeps however many there are in all."""


class CoOccurrenceOptions(Section):
    """Of :class:`CoOccurrence`.

    Args:
        user_power: a user with n items counts ``n^-user_power`` for each pair of them.
        item_power: a pair's sum is divided by the product of both items' numbers of users to this power.
        entry_power: power that each sum is raised to at last.
        most_entries: of the matrix; of more, each item keeps its strongest neighbors, in proportion to how many it has.
    """

    user_power: Annotated[float, Field(ge=0, le=2)] = 0.8
    item_power: Annotated[float, Field(ge=0, le=1)] = 0.5
    entry_power: Annotated[float, Field(gt=0, le=2)] = 0.7
    most_entries: Positive = 150_000_000


@RECOMMENDERS.register("co_occurrence")
class CoOccurrence(ItemWeightRecommender):
    """Smoothed co-occurrence, not pruned to a fixed number: popular items need more neighbors than others."""

    title = "Co-occurrence"
    meaning = "What was had together, leveled by the degrees of users and items (first order of Turbo-CF)."
    Options = CoOccurrenceOptions
    trials = (
        {},
        {"entry_power": 1.0},
        {"item_power": 0.4},
        {"item_power": 0.4, "user_power": 0.5},
        {"item_power": 0.3, "user_power": 0.5, "entry_power": 1.0},
        {"item_power": 0.5, "user_power": 0.5, "entry_power": 0.85},
        {"item_power": 0.6, "user_power": 0.8, "entry_power": 0.6},
    )

    def item_weights(self) -> scipy.sparse.csr_matrix:
        """The smoothed sums, 0 on the diagonal."""
        options = self.options
        matrix = self.seen
        users = np.maximum(np.diff(matrix.indptr), 1.0)
        items = np.maximum(np.bincount(matrix.indices, minlength=matrix.shape[1]), 1.0)
        leveled = matrix.copy()
        leveled.data *= np.repeat(users ** (-options.user_power / 2), np.diff(matrix.indptr)).astype(np.float32)
        leveled.data *= (items**-options.item_power).astype(np.float32)[matrix.indices]
        together = pair_sums(leveled, options.most_entries)
        together.data **= options.entry_power
        return together


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
        strongest = np.sort(np.argsort(-sums[own], kind="mergesort")[:kept])
        for i in range(kept):
            out_indices[start + i], out_data[start + i] = own[strongest[i]], sums[own[strongest[i]]]
