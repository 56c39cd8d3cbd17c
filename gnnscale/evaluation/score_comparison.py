"""Scores of several methods side by side on the examples of a node-level task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gnnscale.arrays import Ids
from gnnscale.evaluation.comparison import MODEL, Comparison, check_methods, part_results
from gnnscale.metrics import Floats, Metric, draw_metrics, entity_weights, evaluate_task, task_metrics
from gnnscale.query import TaskSpec
from gnnscale.schema import DataError


@dataclass(frozen=True, eq=False)
class MethodScores:
    """The scores of one method, ``[N, V]`` in the layout of the task, under its name."""

    name: str
    scores: npt.NDArray[np.float32] | Floats


def compare_scores(
    task: TaskSpec,
    methods: Sequence[MethodScores],
    values: npt.ArrayLike,
    entities: npt.ArrayLike | None = None,
    reference: str | None = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    top: int | None = None,
) -> Comparison:
    """Evaluate methods on the same examples.

    Intervals are those of the percentile bootstrap: entities are drawn with replacement, each with all of its
    examples and the same for all methods, so that differences are paired.

    Args:
        task: a node-level task.
        methods: their scores for the same N examples in the same order.
        values: what came true, ``[N, W]``.
        entities: entity of each example, int64 ``[N]``; by default each example is an entity of its own.
        reference: name of the method that the others are held against; the task's by default.
        level: of the intervals.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        top: classes that the query asks for, where it says.

    Raises:
        DataError: two methods share a name, the reference isn't among them, or shapes don't fit.
    """
    names, base = [method.name for method in methods], reference or task.reference or MODEL
    check_methods(names, base)
    if len({method.scores.shape for method in methods}) > 1:
        shapes = ", ".join(f"{method.name} {list(method.scores.shape)}" for method in methods)
        raise DataError(f"all methods must score the same examples: got {shapes}")
    metrics = task_metrics(task, methods[0].scores.shape[1], top)
    found = {method.name: evaluate_task(task, method.scores, values, top) for method in methods}
    owners = _owners(entities, len(methods[0].scores))
    drawn = _draw(task, methods, values, metrics, owners, resamples, seed, top)
    count = len(np.unique(owners))
    results = part_results("all", count, found, drawn, base, level)
    return Comparison(task, base, tuple(results), metrics, len(owners), count, level, seed, resamples)


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
    top: int | None,
) -> dict[str, dict[str, Floats]]:
    """Method to metric to its value in each draw, float64 ``[resamples]``."""
    drawn = {m.name: {metric.name: np.full(resamples, math.nan) for metric in metrics} for m in methods}
    prepared = {method.name: draw_metrics(task, method.scores, values, top) for method in methods}
    start = 0
    for weights in entity_weights(owners, resamples, seed):
        end = start + len(weights)
        for name, draws in prepared.items():
            by_metric = draws(weights)
            for metric in metrics:
                if metric.name in by_metric:
                    drawn[name][metric.name][start:end] = by_metric[metric.name]
        start = end
    return drawn
