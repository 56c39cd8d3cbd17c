"""Vectors that an exact search is tried on, and what must come of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnscale.retrieval.index.metric import Metric
from gnnscale.retrieval.index.neighbors import Neighbors

Vectors = NDArray[np.float32]


def whole_numbers(rng: np.random.Generator, rows: int, channels: int, most: int = 3) -> Vectors:
    """Vectors whose products are exact in any precision and order, with many ties."""
    return rng.integers(-most, most + 1, (rows, channels)).astype(np.float32)


def exact_scores(vectors: Vectors, queries: Vectors, metric: Metric) -> NDArray[np.float64]:
    """By the definition, in double precision."""
    targets, asked = vectors.astype(float), queries.astype(float)
    if metric is Metric.L2:
        return -((asked[:, None] - targets[None]) ** 2).sum(2)
    if metric is Metric.COSINE:
        targets, asked = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (targets, asked))
    return asked @ targets.T


def assert_exact(found: Neighbors, scores: NDArray[np.float64], k: int, tolerance: float = 0.0) -> None:
    """What was found is the best, best first, no target twice; without tolerance, ties go to the smaller id.

    Args:
        found: of each query.
        scores: of every target, ``[queries, targets]``.
        k: targets asked for.
        tolerance: by which scores in single precision may differ.
    """
    k = min(k, scores.shape[1])
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    assert found.targets.shape == (len(scores), k) and found.targets.dtype == np.int64
    if tolerance == 0:
        np.testing.assert_array_equal(found.targets, order)
    best = np.take_along_axis(scores, order, 1)
    np.testing.assert_allclose(found.scores, best, rtol=0, atol=tolerance)
    np.testing.assert_allclose(np.take_along_axis(scores, found.targets, 1), best, rtol=0, atol=2 * tolerance)
    assert (np.diff(found.scores, axis=1) <= 0).all()
    assert all(len(set(row)) == k for row in found.targets.tolist())
