"""Implicit alternating least squares (Hu et al., 2008), with the regularization of Rendle et al. (2022).

"Revisiting the Performance of iALS on Item Recommendation Benchmarks", eq. 2 to 5: observed pairs should score 1, all
pairs 0 with weight ``unobserved``, and a row with n pairs is held by ``l2 (n + unobserved * others)``. Rows are solved
by a few steps of conjugate gradients from where they were.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import scipy.sparse
from numba import njit
from pydantic import Field

from gnnscale.arrays import Ids, share_rows
from gnnscale.collaborative.interactions import Scores
from gnnscale.collaborative.recommender import Recommender
from gnnscale.collaborative.sparse_kernels import threads
from gnnscale.config import Positive, Section
from gnnscale.schema import RECOMMENDERS


class IALSOptions(Section):
    """Of :class:`IALS`.

    Args:
        dims: of the vectors.
        sweeps: over users and items.
        unobserved: weight of all pairs.
        l2: regularization.
        steps: of conjugate gradients for each row.
    """

    dims: Positive = 64
    sweeps: Positive = 12
    unobserved: Annotated[float, Field(gt=0)] = 0.1
    l2: Annotated[float, Field(gt=0)] = 0.01
    steps: Positive = 3


@RECOMMENDERS.register("ials")
class IALS(Recommender):
    """Weighted matrix factorization."""

    title = "iALS"
    meaning = "A matrix of low rank that scores all that was had 1, and all else near 0 (implicit ALS)."
    Options = IALSOptions
    draws = True
    trials = (
        {},
        {"l2": 0.03},
        {"unobserved": 0.3, "l2": 0.01},
        {"unobserved": 0.3, "l2": 0.003},
        {"unobserved": 0.03},
        {"dims": 128, "l2": 0.02},
        {"dims": 128, "l2": 0.01, "unobserved": 0.3},
        {"dims": 32},
    )

    def learn(self) -> None:
        """Alternate between users and items."""
        options, matrix = self.options, self.seen
        rng = np.random.default_rng(self.seed)
        scale = 0.1 / np.sqrt(options.dims)
        self.users, self.items = (rng.normal(0, scale, (n, options.dims)).astype(np.float32) for n in matrix.shape)
        columns = matrix.T.tocsr()
        for _ in range(options.sweeps):
            self._solve(matrix, self.users, self.items)
            self._solve(columns, self.items, self.users)

    def _solve(self, matrix: scipy.sparse.csr_matrix, rows: Scores, others: Scores) -> None:
        options = self.options
        gram = (options.unobserved * (others.T @ others)).astype(np.float32)
        hold = options.l2 * (np.diff(matrix.indptr) + options.unobserved * len(others)).astype(np.float32)

        def work(part: slice) -> None:
            indptr = matrix.indptr[part.start : part.stop + 1]
            _descend(indptr, matrix.indices, matrix.data, rows[part], others, gram, hold[part], options.steps)

        share_rows(len(rows), threads(), work)

    def score(self, users: Ids) -> Scores:
        """Inner products, float32 ``[len(users), n_items]``."""
        return np.asarray(self.users[users] @ self.items.T, np.float32)


@njit(nogil=True, cache=True, fastmath=True)
def _descend(indptr, indices, data, rows, others, gram, hold, steps):  # type: ignore[no-untyped-def]
    dims = rows.shape[1]
    rest, along, image = np.empty(dims, np.float32), np.empty(dims, np.float32), np.empty(dims, np.float32)
    for row in range(len(rows)):
        x, begin, end = rows[row], indptr[row], indptr[row + 1]
        _image(gram, hold[row], indices, data, others, begin, end, x, image)
        for d in range(dims):
            rest[d] = -image[d]
        for at in range(begin, end):
            for d in range(dims):
                rest[d] += data[at] * others[indices[at], d]
        along[:] = rest
        norm = np.float32(0.0)
        for d in range(dims):
            norm += rest[d] * rest[d]
        for _ in range(steps):
            if norm < 1e-20:
                break
            _image(gram, hold[row], indices, data, others, begin, end, along, image)
            curve = np.float32(0.0)
            for d in range(dims):
                curve += along[d] * image[d]
            stride, before = norm / curve, norm
            norm = np.float32(0.0)
            for d in range(dims):
                x[d] += stride * along[d]
                rest[d] -= stride * image[d]
                norm += rest[d] * rest[d]
            for d in range(dims):
                along[d] = rest[d] + norm / before * along[d]


@njit(nogil=True, cache=True, fastmath=True)
def _image(gram, hold, indices, data, others, begin, end, x, image):  # type: ignore[no-untyped-def]
    """``(gram + hold I + sum of w y y') x`` over the row's pairs, of weight w and vector y."""
    dims = len(x)
    for d in range(dims):
        total = hold * x[d]
        for e in range(dims):
            total += gram[d, e] * x[e]
        image[d] = total
    for at in range(begin, end):
        y = others[indices[at]]
        product = np.float32(0.0)
        for d in range(dims):
            product += y[d] * x[d]
        product *= data[at]
        for d in range(dims):
            image[d] += product * y[d]
