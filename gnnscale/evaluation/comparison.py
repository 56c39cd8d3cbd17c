"""Methods side by side on the same entities: everything, what they had before, and what is new to them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from gnnscale.arrays import Ids, Ragged
from gnnscale.evaluation.baselines.link_baselines import Among
from gnnscale.metrics import (
    Difference,
    Floats,
    Interval,
    RankingMetrics,
    bootstrap_means,
    evaluate_ranking,
    paired_difference,
    percentile_interval,
)
from gnnscale.schema import DataError, nearest

LENGTHS: Final = (10, 20)
"""Lengths of the lists that are compared."""

BOUNDED_METRICS: Final = ("map@10", "recall@10", "recall@20", "ndcg@10")
"""Metrics that come with an interval and a difference to the reference."""

AMONG: Final[tuple[Among, ...]] = ("all", "repeat", "explore")


@dataclass(frozen=True, eq=False)
class MethodLists:
    """The lists of one method, item ids, best first, -1 after the last.

    Args:
        name: of the method, such as ``model`` or ``popularity``.
        all: drawn from all items, int64 ``[N, K]``.
        repeat: drawn only from items that the entity has had, int64 ``[N, K]``.
        explore: drawn only from items that the entity has not had, int64 ``[N, K]``.
    """

    name: str
    all: Ids
    repeat: Ids
    explore: Ids


@dataclass(frozen=True, eq=False)
class MethodResult:
    """How one method did on one part of the truth.

    Args:
        method: its name.
        among: which part: ``all``, ``repeat`` or ``explore``.
        metrics: for each entity and on average.
        intervals: metric to the interval of its mean, for each of ``BOUNDED_METRICS``.
        differences: metric to this method less the reference; zero for the reference itself.
    """

    method: str
    among: Among
    metrics: RankingMetrics
    intervals: dict[str, Interval]
    differences: dict[str, Difference]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Results of every method on every part of the truth, method by method.

    Args:
        reference: the method that the others are held against.
        results: one for each method and part.
        level: of the intervals.
        seed: of the bootstrap.
        resamples: of the bootstrap.
    """

    reference: str
    results: tuple[MethodResult, ...]
    level: float = 0.95
    seed: int = 0
    resamples: int = 1000

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods, in the order given."""
        return tuple(dict.fromkeys(result.method for result in self.results))

    def result(self, method: str, among: Among = "all") -> MethodResult:
        """The result of a method on a part of the truth.

        Raises:
            DataError: there is none.
        """
        for result in self.results:
            if (result.method, result.among) == (method, among):
                return result
        raise DataError(f"no result for {method!r} among {among}.{nearest(method, self.methods)}")

    def difference(self, method: str, other: str, metric: str, among: Among = "all") -> Difference:
        """A method less another, with its interval.

        Raises:
            DataError: a method is not in the comparison.
        """
        one, two = self.result(method, among), self.result(other, among)
        if other == self.reference and metric in one.differences:
            return one.differences[metric]
        return paired_difference(
            one.metrics.per_entity[metric],
            two.metrics.per_entity[metric],
            self.level,
            self.resamples,
            self.seed,
        )

    def rows(self) -> list[dict[str, str | int | float | None]]:
        """One flat record for each method and part of the truth.

        Returns:
            Records of ``method``, ``among``, ``entities`` (those evaluated), every mean under its name and,
            for each of ``BOUNDED_METRICS`` m, ``m_low``, ``m_high``, ``m_difference`` (to the reference),
            ``m_difference_low`` and ``m_difference_high``; None where no entity was evaluated.
        """
        return [_row(result) for result in self.results]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data that ``json.dumps(..., allow_nan=False)`` takes."""
        return {
            "reference": self.reference,
            "level": self.level,
            "resamples": self.resamples,
            "seed": self.seed,
            "rows": self.rows(),
        }


def compare(
    methods: Sequence[MethodLists],
    truth: Ragged,
    past: Ragged,
    n_items: int,
    reference: str = "recency_weighted_frequency",
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Evaluate each method on all of the truth, on its repeats and on what is new.

    Args:
        methods: their lists, for the same N entities in the same order.
        truth: what came true, N rows.
        past: what each entity had before the anchor, N rows; splits the truth into repeat and explore.
        n_items: size of the catalogue.
        reference: name of the method that the others are held against.
        level: of the intervals.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        DataError: two methods share a name, the reference isn't among them, or lists don't fit the truth.
    """
    names = [method.name for method in methods]
    if len(set(names)) < len(names):
        raise DataError(f"methods must have different names: got {', '.join(names)}")
    if reference not in names:
        raise DataError(f"reference {reference!r} is not among the methods.{nearest(reference, names)}")
    parts: dict[Among, Ragged] = {
        "all": truth,
        "repeat": truth.intersection(past),
        "explore": truth.difference(past),
    }
    found: dict[tuple[str, Among], MethodResult] = {}
    for among, part in parts.items():
        metrics = [evaluate_ranking(getattr(m, among), part, n_items, LENGTHS) for m in methods]
        columns = [m.per_entity[name] for m in metrics for name in BOUNDED_METRICS]
        # the same draws of entities for all methods, so that differences are paired: [resamples, methods, 4]
        drawn = bootstrap_means(np.stack(columns, axis=1), resamples, seed)
        drawn = drawn.reshape(resamples, len(methods), len(BOUNDED_METRICS))
        base = names.index(reference)
        for position, name in enumerate(names):
            found[name, among] = MethodResult(
                method=name,
                among=among,
                metrics=metrics[position],
                intervals=_intervals(drawn[:, position], level),
                differences=_differences(metrics[position], metrics[base], drawn[:, position] - drawn[:, base], level),
            )
    results = tuple(found[name, among] for name in names for among in AMONG)
    return Comparison(reference, results, level, seed, resamples)


def _intervals(drawn: Floats, level: float) -> dict[str, Interval]:
    """Metric to interval, from resampled means or differences ``[resamples, 4]``."""
    return {name: percentile_interval(drawn[:, column], level) for column, name in enumerate(BOUNDED_METRICS)}


def _differences(mine: RankingMetrics, base: RankingMetrics, drawn: Floats, level: float) -> dict[str, Difference]:
    gaps = {name: mine.means[name] - base.means[name] if mine.n_evaluated else math.nan for name in BOUNDED_METRICS}
    return {name: Difference(gaps[name], interval) for name, interval in _intervals(drawn, level).items()}


def _row(result: MethodResult) -> dict[str, str | int | float | None]:
    n = result.metrics.n_evaluated
    row: dict[str, str | int | float | None] = {
        "method": result.method,
        "among": result.among,
        "entities": n,
    }
    for name, value in result.metrics.means.items():
        row[name] = value if n or name.startswith("coverage") else None
    for name, interval in result.intervals.items():
        difference = result.differences[name]
        row[f"{name}_low"] = _number(interval.low)
        row[f"{name}_high"] = _number(interval.high)
        row[f"{name}_difference"] = _number(difference.mean)
        row[f"{name}_difference_low"] = _number(difference.interval.low)
        row[f"{name}_difference_high"] = _number(difference.interval.high)
    return row


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else float(value)
