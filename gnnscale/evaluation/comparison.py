"""Methods side by side on the same examples: metrics, intervals, and each method less the reference."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import numpy as np

from gnnscale.metrics import Difference, Floats, Interval, Metric, percentile_interval
from gnnscale.query import TaskSpec
from gnnscale.schema import DataError, nearest

MODEL: Final = "model"
"""Name under which the trained model takes part in a comparison."""

TOWER: Final = "tower"
"""Name of the model's embeddings alone, which are no rival of it."""

NETWORK: Final = "network"
"""Name of the network alone, where the model is a blend of it with baselines."""

BLEND: Final = "blend"
"""Name of the blend with baselines, where the model is the network alone."""

OF_THE_MODEL: Final = (MODEL, TOWER, NETWORK, BLEND)
"""Methods that are the model or parts of it, and so no rivals of each other."""

Part = Literal["all", "repeat", "explore", "warm", "cold"]
"""Of the truth: everything, what entities had before, what is new to them; node-level tasks have the first alone. Where
rows of one table are ranked for each other, also that of entities with events before the anchor, and without."""

Verdict = Literal["beats", "ties", "loses", "undefined"]
"""What a method does to another; ``ties`` where the interval of the difference holds zero."""

NOTHING: Final = Interval(math.nan, math.nan)


@dataclass(frozen=True, eq=False)
class MethodResult:
    """How one method did on one part of the truth.

    Args:
        method: its name.
        among: the part.
        evaluated: entities that have such a truth.
        metrics: name to value; NaN where undefined.
        drawn: name to its value in each draw of entities, float64 ``[resamples]``; NaN where undefined. Metrics that
            are no mean over entities have none.
        intervals: name to the interval of those draws.
        differences: name to this method less the reference, as it stands: for an error, below zero means that this
            method is better. Zero for the reference itself.
    """

    method: str
    among: Part
    evaluated: int
    metrics: Mapping[str, float]
    drawn: Mapping[str, Floats]
    intervals: Mapping[str, Interval]
    differences: Mapping[str, Difference]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Results of every method on every part of the truth, method by method.

    Args:
        task: the task type.
        reference: the method that the others are held against.
        results: one for each method and part.
        metrics: of the task, the headline first.
        examples: number of examples.
        entities: number of entities that they are of.
        level: of the intervals.
        seed: of the bootstrap.
        resamples: of the bootstrap.
    """

    task: TaskSpec
    reference: str
    results: tuple[MethodResult, ...]
    metrics: tuple[Metric, ...]
    examples: int = 0
    entities: int = 0
    level: float = 0.95
    seed: int = 0
    resamples: int = 1000
    _by_name: dict[tuple[str, Part], MethodResult] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {(result.method, result.among): result for result in self.results})

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods, in the order given."""
        return tuple(dict.fromkeys(result.method for result in self.results))

    @property
    def parts(self) -> tuple[Part, ...]:
        """Parts of the truth, in order."""
        return tuple(dict.fromkeys(result.among for result in self.results))

    @property
    def headline(self) -> Metric:
        """The metric that the task is judged by."""
        return self.metrics[0]

    def metric(self, name: str) -> Metric:
        """The metric of that name.

        Raises:
            DataError: the task has none.
        """
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise DataError(f"{self.task} has no metric {name!r}.{nearest(name, [m.name for m in self.metrics])}")

    def result(self, method: str, among: Part = "all") -> MethodResult:
        """The result of a method on a part of the truth.

        Raises:
            DataError: there is none.
        """
        if (method, among) not in self._by_name:
            raise DataError(f"no result for {method!r} among {among}.{nearest(method, self.methods)}")
        return self._by_name[method, among]

    def difference(self, method: str, other: str, metric: str, among: Part = "all") -> Difference:
        """A method less another, with its interval.

        Raises:
            DataError: a method is not in the comparison.
        """
        return difference_of(self.result(method, among), self.result(other, among), metric, self.level)

    def verdict(self, method: str, metric: str | None = None, other: str | None = None, among: Part = "all") -> Verdict:
        """Whether a method beats, ties or loses to another.

        Args:
            method: which method.
            metric: by which metric; the headline by default.
            other: which other; the reference by default.
            among: on which part of the truth.

        Returns:
            ``beats`` or ``loses`` where the interval of the difference leaves out zero; ``undefined`` where the
            metric is, or has no interval.

        Raises:
            DataError: there is no such method or metric.
        """
        judge = self.metric(metric or self.headline.name)
        return verdict_of(self.difference(method, other or self.reference, judge.name, among), judge)

    def better(self, method: str, metric: str | None = None, among: Part = "all") -> str | None:
        """Which of a method and the reference is better, by its name; None where neither clearly is."""
        return {"beats": method, "loses": self.reference}.get(self.verdict(method, metric, among=among))

    def best(self, metric: str, methods: Sequence[str] | None = None, among: Part = "all") -> str | None:
        """Name of the method that does best by a metric, the first of equals; None where it is undefined for all.

        Args:
            metric: which metric.
            methods: to choose from; all by default.
            among: on which part of the truth.
        """
        sign = 1 if self.metric(metric).higher_is_better else -1
        names = self.methods if methods is None else methods
        figures = {name: sign * self.result(name, among).metrics[metric] for name in names}
        figures = {name: value for name, value in figures.items() if not math.isnan(value)}
        return max(figures, key=figures.__getitem__) if figures else None

    def rows(self) -> list[dict[str, str | int | float | None]]:
        """One flat record for each method and part of the truth.

        Returns:
            Records of ``method``, ``among``, ``examples``, ``entities`` (those evaluated) and, for each metric m: m
            and, where it has an interval, ``m_low``, ``m_high``, ``m_difference`` (this method less the reference),
            ``m_difference_low``, ``m_difference_high`` and ``m_verdict`` (what this method does to the reference);
            None where undefined.
        """
        return [self._row(result) for result in self.results]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data that ``json.dumps(..., allow_nan=False)`` takes."""
        return {
            "task": str(self.task),
            "reference": self.reference,
            "headline": self.headline.name,
            "metrics": [asdict(metric) for metric in self.metrics],
            "examples": self.examples,
            "entities": self.entities,
            "level": self.level,
            "resamples": self.resamples,
            "seed": self.seed,
            "rows": self.rows(),
        }

    def _row(self, result: MethodResult) -> dict[str, str | int | float | None]:
        row: dict[str, str | int | float | None] = {
            "method": result.method,
            "among": result.among,
            "examples": self.examples,
            "entities": result.evaluated,
        }
        for metric in self.metrics:
            name = metric.name
            row[name] = _number(result.metrics[name])
            if name not in result.intervals:
                continue
            interval, difference = result.intervals[name], result.differences[name]
            row[f"{name}_low"] = _number(interval.low)
            row[f"{name}_high"] = _number(interval.high)
            row[f"{name}_difference"] = _number(difference.mean)
            row[f"{name}_difference_low"] = _number(difference.interval.low)
            row[f"{name}_difference_high"] = _number(difference.interval.high)
            row[f"{name}_verdict"] = None if result.method == self.reference else verdict_of(difference, metric)
        return row


def rivals_of(methods: Iterable[str], subject: str = MODEL) -> list[str]:
    """What a method is held against: the others, without what is of the model itself."""
    return [name for name in methods if name not in (subject, *OF_THE_MODEL)]


def check_methods(names: Sequence[str], reference: str) -> None:
    """Refuse methods that can't be compared.

    Raises:
        DataError: two share a name, or the reference isn't among them.
    """
    if len(set(names)) < len(names):
        raise DataError(f"methods must have different names: got {', '.join(names)}")
    if reference not in names:
        raise DataError(f"reference {reference!r} is not among the methods.{nearest(reference, names)}")


def part_results(
    part: Part,
    evaluated: int,
    found: Mapping[str, Mapping[str, float]],
    drawn: Mapping[str, Mapping[str, Floats]],
    reference: str,
    level: float,
) -> list[MethodResult]:
    """Results of every method on one part of the truth.

    Args:
        part: which.
        evaluated: entities that have such a truth.
        found: method to metric to value.
        drawn: method to metric to value in each draw, float64 ``[resamples]``; the same draws for all methods, so that
            differences are paired.
        reference: name of the method that the others are held against.
        level: of the intervals.
    """
    bare = {
        name: MethodResult(
            name, part, evaluated, found[name], draws, {metric: _interval(d, level) for metric, d in draws.items()}, {}
        )
        for name, draws in drawn.items()
    }
    base = bare[reference]
    return [
        MethodResult(
            result.method,
            part,
            evaluated,
            result.metrics,
            result.drawn,
            result.intervals,
            {metric: difference_of(result, base, metric, level) for metric in result.drawn},
        )
        for result in bare.values()
    ]


def difference_of(one: MethodResult, other: MethodResult, metric: str, level: float) -> Difference:
    """A method less another, with its interval; empty where the metric has no draws."""
    interval = NOTHING
    if metric in one.drawn:
        interval = _interval(one.drawn[metric] - other.drawn[metric], level)
    return Difference(one.metrics[metric] - other.metrics[metric], interval)


def verdict_of(difference: Difference, metric: Metric) -> Verdict:
    """What a method does to another, by the first less the second."""
    if math.isnan(difference.mean) or math.isnan(difference.interval.low):
        return "undefined"
    if not difference.interval.excludes_zero:
        return "ties"
    return "beats" if (difference.mean > 0) == metric.higher_is_better else "loses"


def _interval(draws: Floats, level: float) -> Interval:
    """Interval of the draws in which the metric is defined."""
    defined = draws[np.isfinite(draws)]
    return percentile_interval(defined, level) if defined.size else NOTHING


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else float(value)
