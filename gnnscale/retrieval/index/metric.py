"""How near two vectors are."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from gnnscale.schema import DataError

LARGEST = 1e16
"""Sums of squares of smaller numbers are well inside float32, however many channels there are."""
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
    # In double precision no square overflows, and none vanishes.
    lengths = np.sqrt(np.einsum("rc,rc->r", vectors, vectors, dtype=np.float64))[:, None]
    if len(zero := np.flatnonzero(lengths == 0)):
        raise DataError(
            f"{len(zero):,} of {len(vectors):,} {what} are zero, such as row {zero[0]}, and have no cosine; leave "
            "them out or search by inner product"
        )
    found: NDArray[np.float32] = (vectors / lengths).astype(np.float32)
    return found


def check_finite(vectors: NDArray[np.float32], what: str) -> None:
    """Refuse what no score can be computed of.

    Raises:
        DataError: a vector holds NaN or infinity, or a number whose square is more than a float32 holds.
    """
    for start in range(0, len(vectors), ROWS):
        part = vectors[start : start + ROWS]
        if not part.size or max(part.max(), -part.min()) < LARGEST:  # of NaN neither is so
            continue
        row = start + int(np.flatnonzero(~(np.abs(part) < LARGEST).all(1))[0])
        raise DataError(f"{what} hold NaN, infinity or numbers of {LARGEST:.0e} and more, first in row {row}")
