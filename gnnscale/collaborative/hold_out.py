"""Edges of a matrix held out of it: at random, or the latest, of each user the same share."""

from __future__ import annotations

import numpy as np
import scipy.sparse
from numpy.typing import NDArray


def held_ranks(users: NDArray[np.int64], keys: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rank of each row among those of its user by a key, and the number of its user's rows, int64 ``[E]``."""
    order = np.lexsort((keys, users))
    counts = np.bincount(users)
    starts = np.concatenate(([0], np.cumsum(counts)))
    rank = np.empty(len(users), np.int64)
    rank[order] = np.arange(len(users)) - starts[users[order]]
    return rank, counts[users]


def hold_out(
    matrix: scipy.sparse.csr_matrix, share: float, seed: int = 0
) -> tuple[scipy.sparse.csr_matrix, scipy.sparse.csr_matrix]:
    """Draw a share of each user's edges, rounded; every user keeps at least one.

    Args:
        matrix: CSR ``[n_users, n_items]``.
        share: of the edges, in (0, 1).
        seed: of the draws.

    Returns:
        The rest, and what was drawn: nothing, where users have too few.
    """
    users = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    rank, count = held_ranks(users, np.random.default_rng(seed).random(matrix.nnz))
    held = rank < np.minimum(np.rint(count * share), count - 1)
    return _part(matrix, users, ~held), _part(matrix, users, held)


def _part(
    matrix: scipy.sparse.csr_matrix, users: NDArray[np.int64], chosen: NDArray[np.bool_]
) -> scipy.sparse.csr_matrix:
    place = users[chosen], matrix.indices[chosen]
    return scipy.sparse.csr_matrix((matrix.data[chosen], place), shape=matrix.shape)
