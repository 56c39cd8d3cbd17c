"""Methods side by side on the examples of an entity task: metrics, intervals, and the model less each method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from gnnscale.arrays import Ids
from gnnscale.metrics import (
    Difference,
    Floats,
    Interval,
    Metric,
    draw_metrics,
    entity_weights,
    evaluate_task,
    percentile_interval,
    task_metrics,
)
from gnnscale.query import TaskSpec
from gnnscale.schema import DataError, nearest

Verdict = Literal["beats", "ties", "loses", "undefined"]
"""What the reference does to a method; ``ties`` where the interval of the difference holds zero."""

NOTHING: Final = Interval(math.nan, math.nan)


@dataclass(frozen=True, eq=False)
class MethodScores:
    """The scores of one method, ``[N, V]`` in the layout of the task, under its name."""

    name: str
    scores: npt.NDArray[np.float32] | Floats


@dataclass(frozen=True, eq=False)
class TaskMethodResult:
    """How one method did.

    Args:
        method: its name.
        metrics: name to value; NaN where undefined.
        intervals: name to the interval of that value.
        differences: name to the reference less this method, as it stands: for an error, below zero means that the
            reference is better. Zero for the reference itself.
    """

    method: str
    metrics: dict[str, float]
    intervals: dict[str, Interval]
    differences: dict[str, Difference]


@dataclass(frozen=True, eq=False)
class TaskComparison:
    """Results of every method on the same examples.

    Args:
        task: an entity task.
        reference: the method that is held against the others, such as ``model``.
        results: one for each method, in the order given.
        metrics: of the task, the headline first.
        examples: number of examples, N.
        entities: number of entities that they are of.
        level: of the intervals.
        seed: of the bootstrap.
        resamples: of the bootstrap.
    """

    task: TaskSpec
    reference: str
    results: tuple[TaskMethodResult, ...]
    metrics: tuple[Metric, ...]
    examples: int = 0
    entities: int = 0
    level: float = 0.95
    seed: int = 0
    resamples: int = 1000
    _by_name: dict[str, TaskMethodResult] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {result.method: result for result in self.results})

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods, in the order given."""
        return tuple(self._by_name)

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

    def result(self, method: str) -> TaskMethodResult:
        """The result of a method.

        Raises:
            DataError: there is none.
        """
        if method not in self._by_name:
            raise DataError(f"no result for {method!r}.{nearest(method, self.methods)}")
        return self._by_name[method]

    def verdict(self, method: str, metric: str | None = None) -> Verdict:
        """Whether the reference beats, ties or loses to a method.

        Args:
            method: which method.
            metric: by which metric; the headline by default.

        Returns:
            ``beats`` or ``loses`` where the interval of the difference leaves out zero; ``undefined`` where the
            metric is.

        Raises:
            DataError: there is no such method or metric.
        """
        judge = self.metric(metric or self.headline.name)
        difference = self.result(method).differences[judge.name]
        if math.isnan(difference.mean) or math.isnan(difference.interval.low):
            return "undefined"
        if not difference.interval.excludes_zero:
            return "ties"
        return "beats" if (difference.mean > 0) == judge.higher_is_better else "loses"

    def best(self, metric: str, among: Sequence[str] | None = None) -> str | None:
        """Name of the method that does best by a metric, the first of equals; None where it is undefined for all."""
        judge = self.metric(metric)
        sign = 1 if judge.higher_is_better else -1
        told = {name: sign * self.result(name).metrics[metric] for name in (self.methods if among is None else among)}
        told = {name: value for name, value in told.items() if not math.isnan(value)}
        return max(told, key=told.__getitem__) if told else None

    def rows(self) -> list[dict[str, str | int | float | None]]:
        """One flat record for each method.

        Returns:
            Records of ``method``, ``examples``, ``entities`` and, for each metric m: m, ``m_low``, ``m_high``,
            ``m_difference`` (the reference less this method), ``m_difference_low``, ``m_difference_high`` and
            ``m_verdict``; None where undefined.
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

    def _row(self, result: TaskMethodResult) -> dict[str, str | int | float | None]:
        row: dict[str, str | int | float | None] = {
            "method": result.method,
            "examples": self.examples,
            "entities": self.entities,
        }
        for metric in self.metrics:
            name, interval = metric.name, result.intervals[metric.name]
            difference = result.differences[name]
            row[name] = _number(result.metrics[name])
            row[f"{name}_low"] = _number(interval.low)
            row[f"{name}_high"] = _number(interval.high)
            row[f"{name}_difference"] = _number(difference.mean)
            row[f"{name}_difference_low"] = _number(difference.interval.low)
            row[f"{name}_difference_high"] = _number(difference.interval.high)
            row[f"{name}_verdict"] = None if result.method == self.reference else self.verdict(result.method, name)
        return row


def compare_task(
    task: TaskSpec,
    methods: Sequence[MethodScores],
    values: npt.ArrayLike,
    entities: npt.ArrayLike | None = None,
    reference: str = "model",
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> TaskComparison:
    """Evaluate methods on the same examples.

    Intervals are those of the percentile bootstrap: entities are drawn with replacement, each with all of its
    examples and the same for all methods, so that differences are paired.

    Args:
        task: an entity task.
        methods: their scores for the same N examples in the same order.
        values: what came true, ``[N, W]``.
        entities: entity of each example, int64 ``[N]``; by default each example is an entity of its own.
        reference: name of the method that is held against the others.
        level: of the intervals.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        DataError: two methods share a name, the reference isn't among them, or shapes don't fit.
    """
    names = [method.name for method in methods]
    if len(set(names)) < len(names):
        raise DataError(f"methods must have different names: got {', '.join(names)}")
    if reference not in names:
        raise DataError(f"reference {reference!r} is not among the methods.{nearest(reference, names)}")
    if len({method.scores.shape for method in methods}) > 1:
        shapes = ", ".join(f"{method.name} {list(method.scores.shape)}" for method in methods)
        raise DataError(f"all methods must score the same examples: got {shapes}")
    metrics = task_metrics(task, methods[0].scores.shape[1])
    found = [evaluate_task(task, method.scores, values) for method in methods]
    owners = _owners(entities, len(methods[0].scores))
    drawn = _draw(task, methods, values, metrics, owners, resamples, seed)  # [methods, metrics, resamples]
    base = names.index(reference)
    results = tuple(
        TaskMethodResult(
            method=name,
            metrics=found[place],
            intervals={metric.name: _interval(drawn[place, m], level) for m, metric in enumerate(metrics)},
            differences={
                metric.name: Difference(
                    found[base][metric.name] - found[place][metric.name],
                    _interval(drawn[base, m] - drawn[place, m], level),
                )
                for m, metric in enumerate(metrics)
            },
        )
        for place, name in enumerate(names)
    )
    return TaskComparison(
        task, reference, results, metrics, len(owners), len(np.unique(owners)), level, seed, resamples
    )


def _owners(entities: npt.ArrayLike | None, examples: int) -> Ids:
    owners = np.arange(examples) if entities is None else np.asarray(entities, dtype=np.int64)
    if owners.shape != (examples,):
        raise DataError(f"entities must be [{examples}], one per example: got {list(owners.shape)}")
    return owners


def _draw(
    task: TaskSpec,
    methods: Sequence[MethodScores],
    values: npt.ArrayLike,
    metrics: Sequence[Metric],
    owners: Ids,
    resamples: int,
    seed: int,
) -> Floats:
    """Each metric of each method in each draw, float64 ``[methods, metrics, resamples]``."""
    drawn = np.full((len(methods), len(metrics), resamples), math.nan)
    prepared = [draw_metrics(task, method.scores, values) for method in methods]
    start = 0
    for weights in entity_weights(owners, resamples, seed):
        end = start + len(weights)
        for place, draws in enumerate(prepared):
            told = draws(weights)
            for m, metric in enumerate(metrics):
                drawn[place, m, start:end] = told[metric.name]
        start = end
    return drawn


def _interval(draws: Floats, level: float) -> Interval:
    """Interval of the draws in which the metric is defined."""
    defined = draws[np.isfinite(draws)]
    return percentile_interval(defined, level) if defined.size else NOTHING


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else float(value)
