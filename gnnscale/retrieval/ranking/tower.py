"""Scores of the tower straight from the vectors, in blocks of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gnnscale.arrays import Ragged
from gnnscale.retrieval.index.metric import Metric, as_searched
from gnnscale.schema import ConfigError, DataError

Block = slice | NDArray[np.int64]
"""Some targets: from one id up to another, or by their ids."""


class VectorScores(Protocol):
    """Scores of targets from their vectors, wherever these are."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Targets and channels."""

    def score_listed(self, queries: NDArray[np.float32], listed: Ragged) -> NDArray[np.float32]:
        """Scores of some targets for each query, float32, one for each of ``listed.values``."""

    def blocks(self, targets: int) -> Iterator[Block]:
        """All targets, about so many at a time: such as are scored together soonest; ids ascend."""

    def score_block(self, queries: NDArray[np.float32], targets: Block) -> NDArray[np.float32]:
        """Scores of the same targets (ids ascend) for all queries, float32 ``[queries, targets]``."""


@dataclass(frozen=True, eq=False)
class TargetVectors:
    """What an index was built of.

    Args:
        values: float ``[targets, channels]``, in memory or mapped; of half precision if need be.
        metric: how scores come of them, as the index has it.

    Raises:
        ConfigError: the metric is unknown.
        DataError: the array is not flat in two dimensions.
    """

    values: NDArray[Any]
    metric: Literal["inner_product", "cosine", "l2"] = "inner_product"

    def __post_init__(self) -> None:
        if self.metric not in list(Metric):
            raise ConfigError(f"unknown metric '{self.metric}'; allowed: {', '.join(Metric)}")
        if self.values.ndim != 2:
            raise DataError(f"vectors must be [targets, channels], not {list(self.values.shape)}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Targets and channels."""
        return self.values.shape

    def score_listed(self, queries: NDArray[np.float32], listed: Ragged) -> NDArray[np.float32]:
        """Scores of some targets for each query.

        Args:
            queries: ``[queries, channels]``.
            listed: targets, a row for each query.

        Returns:
            float32, one for each of ``listed.values``.
        """
        queries, gathered = self._compared(queries, self.values[listed.values])
        scores: NDArray[np.float32] = _score_rows(queries, listed.indptr, gathered, self.metric == "l2")
        return scores

    def blocks(self, targets: int) -> Iterator[slice]:
        """All targets, so many at a time; see :meth:`VectorScores.blocks`."""
        size = len(self.values)
        return (slice(first, min(first + targets, size)) for first in range(0, size, targets))

    def score_block(self, queries: NDArray[np.float32], targets: Block) -> NDArray[np.float32]:
        """Scores of the same targets for all queries, float32 ``[queries, targets]``; a slice is not copied."""
        queries, block = self._compared(queries, self.values[targets])
        scores: NDArray[np.float32] = queries @ block.T
        if self.metric == "l2":
            # -|q - v|^2 = 2 q v - |q|^2 - |v|^2, around the middle of the block, so that long vectors don't cancel.
            middle = _middle(block)
            queries, block = queries - middle, block - middle
            scores = 2 * (queries @ block.T)
            scores -= np.einsum("qc,qc->q", queries, queries)[:, None] + np.einsum("tc,tc->t", block, block)
            np.minimum(scores, 0, out=scores)
        return scores

    def _compared(
        self, queries: NDArray[np.float32], targets: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Both in the form that the metric compares."""
        if self.metric == "cosine":
            return (
                as_searched(Metric.COSINE, queries, "queries"),
                as_searched(Metric.COSINE, targets, "target vectors"),
            )
        return queries, np.ascontiguousarray(targets, np.float32)


def _middle(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """About the mean, in multiples of a power of two near the spread, so that whole numbers stay whole."""
    mean = vectors.mean(0)
    spread = float(np.abs(vectors - mean).max(initial=0))
    step = np.float32(2.0 ** np.ceil(np.log2(spread))) if spread > 0 else np.float32(1)
    found: NDArray[np.float32] = np.rint(mean / step) * step
    return found


@njit(nogil=True, cache=True, fastmath=True)
def _score(query, vector, squared):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    if squared:
        for c in range(query.size):
            total -= (query[c] - vector[c]) * (query[c] - vector[c])
    else:
        for c in range(query.size):
            total += query[c] * vector[c]
    return total


@njit(nogil=True, cache=True)
def _score_rows(queries, indptr, gathered, squared):  # type: ignore[no-untyped-def]
    scores = np.empty(gathered.shape[0], np.float32)
    for i in range(queries.shape[0]):
        for j in range(indptr[i], indptr[i + 1]):
            scores[j] = _score(queries[i], gathered[j], squared)
    return scores
