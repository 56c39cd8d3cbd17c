"""Spectral low-pass filter: what varies least over the graph of users and items.

GF-CF (Shen et al., 2021, "How Powerful is Graph Convolution for Recommendation?", eq. 10): with
R~ = D_U^-1/2 R D_I^-1/2 and V its first right singular vectors, scores are R D_I^-1/2 V V' D_I^1/2. PureSVD
(Cremonesi et al., 2010) does so with R itself.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import scipy.sparse
from pydantic import Field

from gnnscale.arrays import Ids
from gnnscale.collaborative.interactions import Scores
from gnnscale.collaborative.recommender import Recommender
from gnnscale.config import Positive, Section
from gnnscale.schema import RECOMMENDERS


class LowPassOptions(Section):
    """Of :class:`LowPass`.

    Args:
        dims: singular vectors.
        item_power: degrees of items are leveled by this power, 1/2 in GF-CF.
        user_power: and those of users by this.
        iterations: of the randomized decomposition (Halko et al., 2011).
    """

    dims: Positive = 256
    item_power: Annotated[float, Field(ge=0, le=1)] = 0.5
    user_power: Annotated[float, Field(ge=0, le=1)] = 0.5
    iterations: Positive = 3


@RECOMMENDERS.register("low_pass")
class LowPass(Recommender):
    """The ideal low-pass filter of GF-CF, by a randomized decomposition."""

    title = "Low-pass filter"
    meaning = "What varies least over the graph: the spectral part of GF-CF."
    Options = LowPassOptions
    trials = (
        {},
        {"dims": 128},
        {"dims": 64},
        {"dims": 32},
        {"dims": 64, "item_power": 0.3},
        {"dims": 32, "item_power": 0.3},
        {"item_power": 0.3},
    )

    def learn(self) -> None:
        """Find the first right singular vectors of the leveled matrix."""
        options, matrix = self.options, self.seen
        dims = min(options.dims, min(matrix.shape))
        users = np.maximum(np.asarray(matrix.sum(axis=1)).ravel(), 1e-12)
        items = np.maximum(np.asarray(matrix.sum(axis=0)).ravel(), 1e-12)
        self.level = (items**options.item_power).astype(np.float32)
        leveled = matrix.copy()
        leveled.data /= self.level[matrix.indices]
        leveled.data *= np.repeat(users**-options.user_power, np.diff(matrix.indptr)).astype(np.float32)
        self.vectors = right_vectors(leveled, dims, options.iterations, self.seed)

    def score(self, users: Ids) -> Scores:
        """What the filter lets through, float32 ``[len(users), n_items]``."""
        rows = self.seen[users]
        rows.data /= self.level[rows.indices]
        return np.asarray((rows @ self.vectors) @ (self.vectors * self.level[:, None]).T, np.float32)


class PureSVDOptions(Section):
    """Of :class:`PureSVD`: ``dims`` singular vectors, by so many ``iterations``."""

    dims: Positive = 64
    iterations: Positive = 3


@RECOMMENDERS.register("pure_svd")
class PureSVD(Recommender):
    """The matrix of what was had, of low rank."""

    title = "SVD"
    meaning = "The matrix of what was had, of low rank (PureSVD)."
    Options = PureSVDOptions
    trials = tuple({"dims": dims} for dims in (64, 32, 16, 128, 256))

    def learn(self) -> None:
        """Find the first right singular vectors."""
        dims = min(self.options.dims, min(self.seen.shape))
        self.vectors = right_vectors(self.seen, dims, self.options.iterations, self.seed)

    def score(self, users: Ids) -> Scores:
        """``X V V'``, float32 ``[len(users), n_items]``."""
        return np.asarray((self.seen[users] @ self.vectors) @ self.vectors.T, np.float32)


def right_vectors(matrix: scipy.sparse.csr_matrix, dims: int, iterations: int, seed: int) -> Scores:
    """The first right singular vectors, float32 ``[n_items, dims]``, by a randomized decomposition."""
    # Trainings of other networks load this module and need none of it, which takes a second of each worker.
    from sklearn.utils.extmath import randomized_svd

    _, _, vectors = randomized_svd(matrix, dims, n_oversamples=16, n_iter=iterations, random_state=seed)
    return np.ascontiguousarray(vectors.T, np.float32)
