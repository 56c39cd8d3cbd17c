"""EASE of catalogues of any size: for each item one small ridge over the items nearest to it.

The exact EASE of an item is a ridge on all others (Steck 2019, eq. 4). Here the inputs of item j are its nearest items
N(j), by cosine; its weights solve (G_NN + l2 I) w = G_Nj with G = X'X. No matrix of all pairs is inverted, or formed
dense.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import scipy.sparse
from numba import njit
from pydantic import Field
from threadpoolctl import threadpool_limits

from gnnscale.collaborative.recommenders.co_occurrence import pair_sums, share_items
from gnnscale.collaborative.recommenders.item_weights import ItemWeightRecommender
from gnnscale.config import Positive, Section
from gnnscale.schema import RECOMMENDERS


class LocalEASEOptions(Section):
    """Of :class:`LocalEASE`.

    Args:
        nearest: items that each one is told from.
        l2: of the ridges.
        most_entries: of the sums of pairs; of more, each item keeps its strongest.
    """

    nearest: Positive = 200
    l2: Annotated[float, Field(gt=0)] = 20.0
    most_entries: Positive = 150_000_000


@RECOMMENDERS.register("local_ease")
class LocalEASE(ItemWeightRecommender):
    """A ridge of each item on its nearest ones."""

    title = "Local EASE"
    meaning = "A linear model of each item from those nearest to it."
    Options = LocalEASEOptions
    trials = ({}, {"l2": 5.0}, {"l2": 80.0}, {"l2": 300.0})

    def item_weights(self) -> scipy.sparse.csr_matrix:
        """The coefficients, 0 on the diagonal."""
        options, matrix = self.options, self.seen
        count = matrix.shape[1]
        gram = pair_sums(matrix, options.most_entries)
        own = np.asarray(matrix.multiply(matrix).sum(axis=0)).ravel().astype(np.float32)
        kept = np.minimum(np.diff(gram.indptr), options.nearest)
        indptr = np.concatenate(([0], np.cumsum(kept)))
        indices, data = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], np.float32)
        flat = (gram.indptr, gram.indices, gram.data, own, np.float32(options.l2))
        # Every thread solves systems of its own: the library's threads would only be in their way.
        with threadpool_limits(1):
            share_items(count, lambda items, work, mark: _solve(*flat, items, indptr, indices, data, mark))
        # Row j has the inputs of item j; scores take from the rows what was had.
        return scipy.sparse.csr_matrix((data, indices, indptr), shape=(count, count)).T.tocsr()


@njit(nogil=True, cache=True)
def _solve(  # type: ignore[no-untyped-def]
    g_indptr, g_indices, g_data, own, l2, items, indptr, indices, data, mark
):
    for item in items:
        start, width = indptr[item], indptr[item + 1] - indptr[item]
        if width == 0:
            continue
        row = slice(g_indptr[item], g_indptr[item + 1])
        nearest = g_indices[row]
        sums = g_data[row]
        if width < len(nearest):
            cosine = sums / np.sqrt(own[nearest])
            kept = np.sort(np.argpartition(-cosine, width - 1)[:width])
            nearest, sums = nearest[kept], sums[kept]
        system = np.zeros((width, width), np.float32)
        for a in range(width):
            mark[nearest[a]] = a
        for a in range(width):
            system[a, a] = own[nearest[a]] + l2
            _fill_row(g_indptr, g_indices, g_data, nearest, a, mark, system)
        for a in range(width):
            mark[nearest[a]] = -1
        data[start : start + width] = _cholesky_solve(system, sums)
        indices[start : start + width] = nearest


@njit(nogil=True, cache=True)
def _fill_row(g_indptr, g_indices, g_data, nearest, a, mark, system):  # type: ignore[no-untyped-def]
    """The sums of neighbor a with the neighbors before it, whichever way costs less."""
    begin, end = g_indptr[nearest[a]], g_indptr[nearest[a] + 1]
    if end - begin <= 12 * a:
        for at in range(begin, end):
            b = mark[g_indices[at]]
            if 0 <= b < a:
                system[a, b] = g_data[at]
        return
    low = begin
    for b in range(a):
        low += np.searchsorted(g_indices[low:end], nearest[b])
        if low == end:
            return
        if g_indices[low] == nearest[b]:
            system[a, b] = g_data[low]


@njit(nogil=True, cache=True, fastmath=True)
def _cholesky_solve(system, right):  # type: ignore[no-untyped-def]
    """Solve a positive definite system of which the lower triangle is given."""
    count = len(right)
    for a in range(count):
        for b in range(a):
            system[b, a] = system[a, b]
    factor = np.linalg.cholesky(system)
    found = right.copy()
    for a in range(count):
        total = found[a]
        for b in range(a):
            total -= factor[a, b] * found[b]
        found[a] = total / factor[a, a]
    for a in range(count - 1, -1, -1):
        found[a] /= factor[a, a]
        for b in range(a):
            found[b] -= factor[a, b] * found[a]
    return found
