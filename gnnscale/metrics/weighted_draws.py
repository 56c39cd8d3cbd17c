"""Metrics when examples count several times: what a bootstrap asks for, many draws at once.

Formulas are sums over weighted examples, so that a thousand draws of entities cost one product of matrices; curves take
one pass over the sorted scores for each draw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from numba import njit

from gnnscale.arrays import Flags, Ids
from gnnscale.metrics.metric import Floats
from gnnscale.schema import DataError

CELLS: Final = 1 << 22
"""Entries of a weight matrix: 32 MiB."""


def entity_weights(entities: Ids, resamples: int, seed: int) -> Iterator[Floats]:
    """Draw entities with replacement, each with all of its examples.

    Args:
        entities: entity of each example, int64 ``[N]``.
        resamples: number of draws.
        seed: the same seed and entities give the same draws.

    Yields:
        Weights, float64 ``[draws, N]``, ``resamples`` draws in all.

    Raises:
        DataError: resamples is below 1.
    """
    if resamples < 1:
        raise DataError(f"resamples must be 1 or more: got {resamples}")
    distinct, place = np.unique(entities, return_inverse=True)
    n, generator = len(distinct), np.random.default_rng(seed)
    step = max(1, CELLS // max(1, len(entities)))
    for start in range(0, resamples, step):
        draws = min(step, resamples - start)
        counts = np.empty((draws, n))
        for draw in range(draws):
            counts[draw] = np.bincount(generator.integers(0, n, size=n), minlength=n) if n else 0
        yield counts[:, place]


def ratio(part: Floats, whole: Floats) -> Floats:
    """``part / whole``; NaN where whole is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(whole > 0, part / whole, np.nan)


def mean_over_classes(table: Floats) -> Floats:
    """Mean over the classes that are defined, ``[draws, C]`` to ``[draws]``."""
    return ratio(np.nansum(table, axis=1), np.isfinite(table).sum(axis=1).astype(np.float64))


def class_f1(true: Flags, called: Flags) -> Callable[[Floats], Floats]:
    """From weights to the F1 of each class ``[draws, C]``; NaN where it neither came true nor was predicted."""
    hits, marks = (true & called).astype(np.float64), true.astype(np.float64) + called
    return lambda weights: ratio(2 * (weights @ hits), weights @ marks)


def curve_areas(score: Floats, true: Flags) -> Callable[[Floats], tuple[Floats, Floats]]:
    """From weights to (AUROC, average precision) of each draw, NaN where all drawn are true or all are false."""
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.diff(score[order]) != 0, True)
    positive = true[order]

    def areas(weights: Floats) -> tuple[Floats, Floats]:
        auroc, precision = np.full(len(weights), np.nan), np.full(len(weights), np.nan)
        _scan(weights, order, ends, positive, auroc, precision)
        return auroc, precision

    return areas


@njit(nogil=True, cache=True)
def _scan(weights, order, ends, positive, auroc, precision):  # type: ignore[no-untyped-def]
    for draw in range(len(weights)):
        trues, falses, area, summed = 0.0, 0.0, 0.0, 0.0
        tied_true, tied_false = 0.0, 0.0
        for place in range(len(order)):
            weight = weights[draw, order[place]]
            if positive[place]:
                tied_true += weight
            else:
                tied_false += weight
            if ends[place]:
                # a false one loses to every true one above it, and by half to those it is tied with
                area += tied_false * (trues + tied_true / 2)
                trues += tied_true
                falses += tied_false
                if tied_true > 0:
                    summed += tied_true * trues / (trues + falses)
                tied_true, tied_false = 0.0, 0.0
        if trues > 0 and falses > 0:
            auroc[draw] = area / (trues * falses)
            precision[draw] = summed / trues
