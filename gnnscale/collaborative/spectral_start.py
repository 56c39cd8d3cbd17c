"""Vectors of users and items to start training from, near to where smoothing over their graph leads."""

from __future__ import annotations

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from gnnscale.collaborative.recommenders.low_pass import right_vectors


def spectral_vectors(seen: scipy.sparse.csr_matrix, dims: int, seed: int, deviation: float) -> NDArray[np.float32]:
    """The first singular vectors of the normalized graph, which is what is left of any vectors that it smooths often.

    Args:
        seen: weights of the pairs, CSR ``[n_users, n_items]``.
        dims: at most; no more than the shorter side of the matrix.
        seed: of the randomized decomposition.
        deviation: root mean square of all entries.

    Returns:
        Of users and then items, float32 ``[n_users + n_items, dims]``.
    """
    users, items = (np.maximum(np.asarray(seen.sum(axis)).ravel(), 1e-12) ** -0.5 for axis in (1, 0))
    leveled = seen.multiply(users[:, None]).multiply(items[None, :]).tocsr().astype(np.float32)
    right = right_vectors(leveled, min(dims, *leveled.shape), 3, seed)
    both = np.concatenate([np.asarray(leveled @ right, np.float32), right])
    return both * np.float32(deviation * np.sqrt(both.size) / np.linalg.norm(both))
