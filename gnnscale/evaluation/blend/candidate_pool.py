"""Candidates of several methods for the same entities, put together and scored by weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import Flags, Ids

Transform = Literal["rank", "z"]
Values = NDArray[np.float32]

LEVEL: Final = 1e-3
"""Standard deviations by which the first of several candidates of one score may be ahead of the last."""

TRANSFORMS: Final[tuple[Transform, ...]] = ("rank", "z")


@dataclass(frozen=True, eq=False)
class Pool:
    """Every candidate of each entity once.

    Args:
        targets: int64 ``[N, U]``, ascending, -1 after the last.
        values: of each method, float32 ``[methods, N, U]``: 0 of what is none of its candidates, more of the others.
    """

    targets: Ids
    values: Values

    def scores(self, weights: NDArray[np.float64]) -> Values:
        """Weighted sums, float32 ``[N, U]``; -inf where there is no candidate."""
        used = np.flatnonzero(weights)
        summed = np.tensordot(weights[used].astype(np.float32), self.values[used], axes=1)
        return np.where(self.targets >= 0, summed, np.float32(-np.inf))

    def allowed(self, kept: Flags) -> Pool:
        """The pool without some candidates, bool ``[N, U]``; gaps are left where they were."""
        return Pool(np.where(kept, self.targets, -1), self.values)


def comparable(targets: Ids, scores: Values, transform: Transform, depth: int) -> Values:
    """Scores of one method's candidates, so that those of different methods and entities can be added.

    ``rank`` gives the first 1 and falls with the logarithm of the rank to 0 past the depth; ``z`` gives each its
    distance from the least of the entity's candidates, in standard deviations of these, level ones in their order: by
    less than :data:`LEVEL` apart.

    Args:
        targets: int64 ``[N, K]``, best first, -1 where there are fewer.
        scores: float32 ``[N, K]``.
        transform: which.
        depth: candidates that a method gives at most; the width says nothing, for few targets may be there.

    Returns:
        float32 ``[N, K]``, 0 or more; 0 where there is no target.
    """
    there = targets >= 0
    if transform == "rank":
        value = np.maximum(1 - np.log(np.arange(1, targets.shape[1] + 1)) / np.log(depth + 1), 0)
        return np.where(there, value, 0).astype(np.float32)
    known = np.where(there, scores, 0).astype(np.float64)
    count = np.maximum(there.sum(axis=1, keepdims=True), 1)
    mean = known.sum(axis=1, keepdims=True) / count
    spread = np.sqrt((np.where(there, known - mean, 0) ** 2).sum(axis=1, keepdims=True) / count)
    least = np.where(there, scores, np.inf).min(axis=1, initial=np.inf, keepdims=True)
    least = np.where(np.isfinite(least), least, 0)
    # Where all are level, there is no spread to measure by, and their order is all that there is.
    value = np.where(spread > 0, (known - least) / np.maximum(spread, 1e-12), 0) + LEVEL * (
        1 - _places_among_level(scores) / depth
    )
    return np.where(there, value, 0).astype(np.float32)


def _places_among_level(scores: Values) -> NDArray[np.int64]:
    """How many candidates before each, best first, have its score."""
    place = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    new = np.ones(scores.shape, np.bool_)
    new[:, 1:] = scores[:, 1:] != scores[:, :-1]
    return place - np.maximum.accumulate(np.where(new, place, 0), axis=1)


def pool_candidates(lists: Sequence[tuple[Ids, Values]], transform: Transform, depth: int) -> Pool:
    """The candidates of methods together.

    Args:
        lists: of each method: targets, int64 ``[N, K]``, none twice in a row, -1 where there are fewer; and scores.
        transform: of the scores.
        depth: candidates that a method gives at most.
    """
    targets = np.concatenate([ids for ids, _ in lists], axis=1)
    values = np.concatenate([comparable(*own, transform, depth) for own in lists], axis=1)
    method = np.repeat(np.arange(len(lists)), [ids.shape[1] for ids, _ in lists])
    # What is none comes last.
    order = np.argsort(np.where(targets < 0, np.iinfo(np.int64).max, targets), axis=1, kind="stable")
    ordered = np.take_along_axis(targets, order, axis=1)
    new = ordered >= 0
    new[:, 1:] &= ordered[:, 1:] != ordered[:, :-1]
    column = np.cumsum(new, axis=1) - 1
    width = max(1, int(column[:, -1].max(initial=-1)) + 1) if targets.shape[1] else 1
    pooled = np.full((len(targets), width), -1, np.int64)
    row, place = np.nonzero(ordered >= 0)
    pooled[row, column[row, place]] = ordered[row, place]
    found = np.zeros((len(lists), len(targets), width), np.float32)
    source = order[row, place]
    found[method[source], row, column[row, place]] = values[row, source]
    return Pool(pooled, found)


def best_of(
    targets: Ids, scores: Values, k: int, categories: NDArray[np.int32] | None = None, cap: int = 0
) -> tuple[Ids, Values]:
    """The k best of each row, ties to the smaller target.

    Args:
        targets: int64 ``[N, U]``, -1 where there is none.
        scores: float32 ``[N, U]``, -inf where there is none.
        k: wanted.
        categories: of every target, -1 for none; None where any number of a category may be in a list.
        cap: most of one category.

    Returns:
        ``[N, k]`` each, -1 and -inf where there are fewer.
    """
    scores = np.where(targets >= 0, scores, np.float32(-np.inf))
    order = np.lexsort((targets, -scores), axis=1)
    ranked, value = np.take_along_axis(targets, order, axis=1), np.take_along_axis(scores, order, axis=1)
    if categories is not None:
        kept = _within_cap(np.where(ranked >= 0, categories[ranked], -1), cap) & (ranked >= 0)
        order = np.argsort(~kept, axis=1, kind="stable")
        ranked = np.take_along_axis(np.where(kept, ranked, -1), order, axis=1)
        value = np.take_along_axis(np.where(kept, value, np.float32(-np.inf)), order, axis=1)
    short = max(0, k - ranked.shape[1])
    ranked = np.pad(ranked[:, :k], ((0, 0), (0, short)), constant_values=-1)
    value = np.pad(value[:, :k], ((0, 0), (0, short)), constant_values=-np.inf)
    return ranked, np.where(ranked >= 0, value, np.float32(-np.inf))


def _within_cap(codes: NDArray[np.int32], cap: int) -> Flags:
    """Which entries of rows are among the first ``cap`` of their code; -1 always is."""
    order = np.argsort(codes, axis=1, kind="stable")
    ordered = np.take_along_axis(codes, order, axis=1)
    place = np.broadcast_to(np.arange(codes.shape[1]), codes.shape)
    new = np.ones(codes.shape, np.bool_)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = np.maximum.accumulate(np.where(new, place, 0), axis=1)
    kept = np.empty(codes.shape, np.bool_)
    np.put_along_axis(kept, order, (place - first < cap) | (ordered < 0), axis=1)
    return kept
