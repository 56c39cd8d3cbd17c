"""How near two vectors are."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from gnnscale.schema import DataError

ROWS = 65_536
"""Vectors that are looked at together."""


class Metric(StrEnum):
    """Scores of a query and a target; larger is nearer.

    ``inner_product`` and ``cosine`` are what they are called, ``l2`` is minus the squared Euclidean distance.
    """

    INNER_PRODUCT = "inner_product"
    COSINE = "cosine"
    L2 = "l2"


def as_searched(metric: Metric, vectors: NDArray[np.float32], what: str) -> NDArray[np.float32]:
    """Vectors in the form that indexes of the metric compare: of length one for the cosine, else as they are.

    Args:
        metric: of the index.
        vectors: ``[rows, channels]``.
        what: they are, for messages.

    Raises:
        DataError: a vector is not finite, or is zero and has no direction.
    """
    vectors = np.ascontiguousarray(vectors, np.float32)
    check_finite(vectors, what)
    if metric is not Metric.COSINE:
        return vectors
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if len(zero := np.flatnonzero(lengths == 0)):
        raise DataError(
            f"{len(zero):,} of {len(vectors):,} {what} are zero, such as row {zero[0]}, and have no cosine; leave "
            "them out or search by inner product"
        )
    return vectors / lengths


def check_finite(vectors: NDArray[np.float32], what: str) -> None:
    """Refuse what no score can be told of.

    Raises:
        DataError: a vector holds NaN or infinity.
    """
    for start in range(0, len(vectors), ROWS):
        # A sum is finite where all its terms are, short of an overflow, which is looked at once more.
        if np.isfinite(vectors[start : start + ROWS].sum(dtype=np.float64)):
            continue
        bad = ~np.isfinite(vectors[start : start + ROWS]).all(1)
        if bad.any():
            row = start + int(np.flatnonzero(bad)[0])
            raise DataError(f"{what} hold NaN or infinity, first in row {row}")
