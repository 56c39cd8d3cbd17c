"""How far a mean over entities can be trusted: the percentile bootstrap.

Entities are drawn with replacement (Efron 1979) and the mean is taken again; an interval holds the middle
``level`` of those means. Methods compared on the same entities are drawn together, so that what makes
an entity hard for both doesn't count as a difference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gnnscale.metrics.metric import Floats
from gnnscale.schema import DataError


@dataclass(frozen=True)
class Interval:
    """The ends of an interval; both NaN where there was nothing to draw from."""

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside; False for an empty interval."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Difference:
    """A mean difference and its interval."""

    mean: float
    interval: Interval


def bootstrap_means(values: npt.ArrayLike, resamples: int = 1000, seed: int = 0) -> Floats:
    """Means of resampled entities, the same draw for every column.

    Args:
        values: one row per entity, one column per quantity, float64 ``[n, m]``.
        resamples: number of draws.
        seed: the same seed and n give the same draws.

    Returns:
        float64 ``[resamples, m]``; NaN where n is 0.

    Raises:
        DataError: values aren't finite or not ``[n, m]``, or resamples is below 1.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2:
        raise DataError(f"values must be [n, m]: got {list(table.shape)}")
    if not np.isfinite(table).all():
        raise DataError("values must be finite numbers")
    if resamples < 1:
        raise DataError(f"resamples must be 1 or more: got {resamples}")
    n, m = table.shape
    if n == 0:
        return np.full((resamples, m), math.nan)
    generator = np.random.default_rng(seed)
    means = np.empty((resamples, m))
    for draw in range(resamples):
        # how often each entity was drawn; one draw at a time, as resamples x n may not fit in memory
        times = np.bincount(generator.integers(0, n, size=n), minlength=n)
        means[draw] = times @ table / n
    return means


def percentile_interval(means: Floats, level: float = 0.95) -> Interval:
    """The middle ``level`` of resampled means, float64 ``[resamples]``.

    Raises:
        DataError: level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise DataError(f"level must be between 0 and 1: got {level}")
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def bootstrap_interval(values: npt.ArrayLike, level: float = 0.95, resamples: int = 1000, seed: int = 0) -> Interval:
    """Interval of the mean of ``values``, float64 ``[n]``, one per entity.

    Args:
        values: a metric of each entity, ``[n]``.
        level: share of the resampled means that lies inside.
        resamples: number of draws.
        seed: of the draws.

    Raises:
        DataError: values aren't finite or not flat, level isn't in (0, 1) or resamples is below 1.
    """
    column = _column(values)
    return percentile_interval(bootstrap_means(column, resamples, seed)[:, 0], level)


def paired_difference(
    a: npt.ArrayLike, b: npt.ArrayLike, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Difference:
    """Mean of ``a - b`` over the same entities, and its interval.

    Args:
        a: metric of each entity under one method, ``[n]``.
        b: metric of the same entities, in the same order, under the other, ``[n]``.
        level: share of the resampled differences that lies inside.
        resamples: number of draws.
        seed: of the draws.

    Returns:
        The difference; NaN where n is 0.

    Raises:
        DataError: lengths differ, or as for :func:`bootstrap_interval`.
    """
    first, second = _column(a), _column(b)
    if first.shape != second.shape:
        raise DataError(f"paired values must be as many: got {len(first)} and {len(second)}")
    gap = first - second
    interval = bootstrap_interval(gap[:, 0], level, resamples, seed)
    return Difference(float(gap.mean()) if gap.size else math.nan, interval)


def _column(values: npt.ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise DataError(f"values must be flat, one per entity: got {list(array.shape)}")
    return array[:, None]
