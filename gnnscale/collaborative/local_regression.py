"""A small regression of each item on the items nearest to it: no dense matrix of all pairs is formed."""

from __future__ import annotations

import numpy as np
import scipy.sparse
from numba import njit
from threadpoolctl import threadpool_limits

from gnnscale.collaborative.pair_sums import pair_sums, share_items


def local_weights(
    matrix: scipy.sparse.csr_matrix, nearest: int, l2: float, most_entries: int, l1: float = 0.0, sweeps: int = 0
) -> scipy.sparse.csr_matrix:
    """Regress each item on its nearest ones, by cosine.

    Args:
        matrix: what was seen, X, float32 CSR ``[n_users, n_items]``.
        nearest: inputs of each item.
        l2: of the ridges.
        most_entries: of the sums of pairs, X'X; of more, each item keeps its strongest.
        l1: of regressions by coordinate descent, whose weights are 0 or more.
        sweeps: of the descent; with 0, each ridge is solved, with weights of any sign.

    Returns:
        float32 CSR ``[n_items, n_items]``, from inputs (rows) to items (columns), 0 on the diagonal.
    """
    count = matrix.shape[1]
    gram = pair_sums(matrix, most_entries)
    own = np.asarray(matrix.multiply(matrix).sum(axis=0)).ravel().astype(np.float32)
    kept = np.minimum(np.diff(gram.indptr), nearest)
    indptr = np.concatenate(([0], np.cumsum(kept)))
    indices, data = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], np.float32)
    flat = (gram.indptr, gram.indices, gram.data, own, np.float32(l1), np.float32(l2), sweeps)
    # Every thread solves systems of its own: the library's threads would only be in their way.
    with threadpool_limits(1):
        share_items(count, lambda items, work, mark: _solve(*flat, items, indptr, indices, data, mark))
    # Row j has the inputs of item j; scores take from the rows what was had.
    weights = scipy.sparse.csr_matrix((data, indices, indptr), shape=(count, count)).T.tocsr()
    weights.eliminate_zeros()
    return weights


@njit(nogil=True, cache=True)
def _solve(  # type: ignore[no-untyped-def]
    g_indptr, g_indices, g_data, own, l1, l2, sweeps, items, indptr, indices, data, mark
):
    for item in items:
        start, width = indptr[item], indptr[item + 1] - indptr[item]
        if width == 0:
            continue
        row = slice(g_indptr[item], g_indptr[item + 1])
        nearest = g_indices[row]
        sums = g_data[row]
        if width < len(nearest):
            kept = _largest(sums / np.sqrt(own[nearest]), width)
            nearest, sums = nearest[kept], sums[kept]
        system = np.zeros((width, width), np.float32)
        for a in range(width):
            mark[nearest[a]] = a
        for a in range(width):
            system[a, a] = own[nearest[a]] + l2
            _fill_row(g_indptr, g_indices, g_data, nearest, a, mark, system)
        for a in range(width):
            mark[nearest[a]] = -1
        if sweeps:
            data[start : start + width] = _descend(system, sums, l1, sweeps)
        else:
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
    for b in range(a):
        low, high = begin, end
        while low < high:
            middle = (low + high) // 2
            if g_indices[middle] < nearest[b]:
                low = middle + 1
            else:
                high = middle
        begin = low
        if low < end and g_indices[low] == nearest[b]:
            system[a, b] = g_data[low]


@njit(nogil=True, cache=True)
def _largest(values, count):  # type: ignore[no-untyped-def]
    """Places of the ``count`` largest values, ascending; of equal ones the first."""
    least = np.sort(values)[len(values) - count]
    above = 0
    for value in values:
        above += value > least
    level, found, places = count - above, 0, np.empty(count, np.int64)
    for at in range(len(values)):
        if values[at] > least or (values[at] == least and level > 0):
            level -= values[at] == least
            places[found] = at
            found += 1
    return places


@njit(nogil=True, cache=True, fastmath=True)
def _cholesky_solve(system, right):  # type: ignore[no-untyped-def]
    """Solve a positive definite system of which the lower triangle is given; it is overwritten by its factor.

    Sums of pairs that were pruned may not be positive definite: a pivot that is not is taken for 1.
    """
    count = len(right)
    found = right.copy()
    for a in range(count):
        for b in range(a):
            total = system[a, b]
            for c in range(b):
                total -= system[a, c] * system[b, c]
            system[a, b] = total / system[b, b]
        pivot, total = system[a, a], found[a]
        for c in range(a):
            pivot -= system[a, c] * system[a, c]
            total -= system[a, c] * found[c]
        system[a, a] = np.sqrt(pivot) if pivot > 1e-6 else np.float32(1.0)
        found[a] = total / system[a, a]
    for a in range(count - 1, -1, -1):
        found[a] /= system[a, a]
        for b in range(a):
            found[b] -= system[a, b] * found[a]
    return found


@njit(nogil=True, cache=True, fastmath=True)
def _descend(system, right, l1, sweeps):  # type: ignore[no-untyped-def]
    """Coordinate descent to weights of 0 or more, from 0; of the system the lower triangle is given."""
    count = len(right)
    for a in range(count):
        for b in range(a):
            system[b, a] = system[a, b]
    found, rest = np.zeros(count, np.float32), right.copy()
    for _ in range(sweeps):
        largest = np.float32(0.0)
        for a in range(count):
            value = max(np.float32(0.0), found[a] + (rest[a] - l1) / system[a, a])
            change = value - found[a]
            if change != 0:
                found[a] = value
                largest = max(largest, abs(change))
                for b in range(count):
                    rest[b] -= change * system[a, b]
        if largest < 1e-4:
            break
    return found
