"""How good the answers to a node-level task are: the metrics of scores against what came true, by the task's names.

Layouts of scores ``[N, V]`` and values ``[N, W]``, one row per example:

=========  =============================  ==================================================
answer     scores                         values
=========  =============================  ==================================================
truth      probability of true, V = 1     0 or 1, W = 1
value      value, V = 1                   value, W = 1
values     value of each frame            value of each frame
class      probability of each class      index of the class, -1 for an unseen one, W = 1
classes    probability of each class      1 for each class that came true, else 0
=========  =============================  ==================================================
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from gnnscale.arrays import Ragged
from gnnscale.metrics.metric import Draws, Floats, ListMetric, Metric, ScoreMetric, ranked_classes
from gnnscale.metrics.ranking_metrics import evaluate_lists, find_list_metric
from gnnscale.metrics.weighted_draws import ratio
from gnnscale.query import TaskSpec
from gnnscale.schema import METRICS, DataError

LENGTH: Final = 10
"""Of lists that a metric is taken at, where the task does not say."""


def task_metrics(task: TaskSpec, width: int = 1, top: int | None = None) -> tuple[Metric, ...]:
    """The metrics of a task's evaluation, the headline first.

    Args:
        task: which task type.
        width: columns of its scores; metrics of frames and of lists of classes depend on it.
        top: classes that the query asks for, where it says.

    Raises:
        ConfigError: a metric that the task names is not known.
    """
    return tuple(_definitions(task, _cut(task, _metric_names(task), top), width))


def headline_metric(task: TaskSpec, width: int = 1) -> Metric:
    """The metric that a task is judged by."""
    return task_metrics(task, width)[0]


def selection_metric(task: TaskSpec, width: int = 1, top: int | None = None) -> Metric:
    """The metric on the validation examples that selects the model.

    Args:
        task: which task type.
        width: columns of its scores.
        top: classes that the query asks for, where it says.
    """
    return next(_definitions(task, _cut(task, task.validation, top), width))


def evaluate_task(
    task: TaskSpec, scores: npt.ArrayLike, values: npt.ArrayLike, top: int | None = None
) -> dict[str, float]:
    """Compare scores with what came true.

    Args:
        task: a node-level task.
        scores: ``[N, V]`` in the layout above.
        values: ``[N, W]`` in the layout above.
        top: classes that the query asks for, where it says.

    Returns:
        Every metric of :func:`task_metrics` under its name; NaN where it is undefined, such as the AUROC of
        examples that all came true.

    Raises:
        DataError: shapes don't fit the task, scores aren't finite or probabilities lie outside 0 .. 1.
    """
    return _evaluate(task, _cut(task, _metric_names(task), top), *checked_scores(task, scores, values))


def validate_task(
    task: TaskSpec, scores: npt.ArrayLike, values: npt.ArrayLike, top: int | None = None
) -> dict[str, float]:
    """Compare scores with what came true, by the metrics of the task's validation: the same formulas.

    Args:
        task: a node-level task.
        scores: ``[N, V]`` in the layout above; of scores that aren't finite every metric is NaN.
        values: ``[N, W]`` in the layout above; NaN where nothing is known, which counts nothing.
        top: classes that the query asks for, where it says.

    Returns:
        Every metric of the validation under its name, the one that selects the model first; NaN where undefined.

    Raises:
        DataError: shapes don't fit the task, or probabilities lie outside 0 .. 1.
    """
    predicted, true = np.asarray(scores, dtype=np.float64), np.asarray(values, dtype=np.float64)
    _check_layout(task, predicted, true)
    names, width = _cut(task, task.validation, top), predicted.shape[1]
    nothing = {metric.name: math.nan for metric in _definitions(task, names, width)}
    known = ~np.isnan(true)
    if task.predicts_values and not known.all():
        # What is known of a frame counts where another frame is unknown; frames by themselves are left undefined.
        predicted, true = predicted[known][:, None], true[known][:, None]  # [cells, 1]
        names = [name for name in names if not getattr(_find(name), "columns", False)]
    else:
        predicted, true = predicted[known.all(axis=1)], true[known.all(axis=1)]
    if not np.isfinite(predicted).all():
        return nothing
    _check_range(task, predicted)
    return nothing | _evaluate(task, names, predicted, true)


def draw_metrics(task: TaskSpec, scores: npt.ArrayLike, values: npt.ArrayLike, top: int | None = None) -> Draws:
    """Prepare the metrics of one method for any number of draws.

    Args:
        task: a node-level task.
        scores: ``[N, V]``.
        values: ``[N, W]``.
        top: classes that the query asks for, where it says.

    Returns:
        A function of weights, float64 ``[draws, N]``: how often each example was drawn.

    Raises:
        DataError: as for :func:`evaluate_task`.
    """
    predicted, true = checked_scores(task, scores, values)
    names = _cut(task, _metric_names(task), top)
    found = [_find(name) for name in names]
    lists = _list_names(names, predicted.shape[1])
    # One preparation for all metrics of a family.
    prepared = {
        metric.prepare or metric: metric.draws(predicted, true) for metric in found if isinstance(metric, ScoreMetric)
    }
    formulas = [*([_list_draws(task, lists, predicted, true)] if lists else []), *prepared.values()]

    def draws(weights: Floats) -> Mapping[str, Floats]:
        return {name: drawn for formula in formulas for name, drawn in formula(weights).items()}

    return draws


def checked_scores(task: TaskSpec, scores: npt.ArrayLike, values: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Scores ``[N, V]`` and values ``[N, W]`` as float64.

    Raises:
        DataError: as for :func:`evaluate_task`.
    """
    predicted, true = np.asarray(scores, dtype=np.float64), np.asarray(values, dtype=np.float64)
    _check_layout(task, predicted, true)
    if not (np.isfinite(predicted).all() and np.isfinite(true).all()):
        raise DataError(f"{task}: scores and values must be finite numbers")
    _check_range(task, predicted)
    return predicted, true


def _check_layout(task: TaskSpec, scores: Floats, true: Floats) -> None:
    if task.predicts_links:
        raise DataError(f"{task} gives no values to entities: its ranked lists are what is compared")
    if scores.ndim != 2 or true.ndim != 2 or len(scores) != len(true) or scores.shape[1] < 1:
        raise DataError(f"scores and values must be [N, V] and [N, W]: got {list(scores.shape)} and {list(true.shape)}")
    one = task.answer in ("truth", "value")
    wanted = 1 if one or task.answer == "class" else scores.shape[1]
    if true.shape[1] != wanted or (one and scores.shape[1] != 1):
        raise DataError(f"{task}: scores {list(scores.shape)} don't fit values {list(true.shape)}")


def _check_range(task: TaskSpec, scores: Floats) -> None:
    if not task.predicts_values and scores.size and not -1e-3 <= scores.min() <= scores.max() <= 1 + 1e-3:
        raise DataError(f"{task}: probabilities must be in 0 .. 1: got {scores.min():g} .. {scores.max():g}")


def _find(name: str) -> ScoreMetric | ListMetric:
    found: ScoreMetric | ListMetric = METRICS.find(name.partition("@")[0])
    return found


def _metric_names(task: TaskSpec) -> list[str]:
    """Those that the task names, in its order, and those that join it by themselves."""
    named = {name.partition("@")[0] for name in task.metrics}
    joining = [(name, _find(name)) for name in METRICS.names() if name not in named]
    return [
        *task.metrics,
        *(
            f"{name}@{LENGTH}" if isinstance(metric, ListMetric) else name
            for name, metric in joining
            if task.name in metric.tasks or task.answer in metric.tasks
        ),
    ]


def _cut(task: TaskSpec, names: Sequence[str], top: int | None) -> list[str]:
    """The names with lists of classes as long as the query asks for."""
    if top is None or task.predicts_links:
        return list(names)
    return [f"{name.partition('@')[0]}@{top}" if "@" in name else name for name in names]


def _list_names(names: Iterable[str], width: int) -> list[str]:
    """Those of the names that are metrics of lists; no list is longer than there are classes, and each comes once."""
    listed = [name.partition("@") for name in names if "@" in name]
    return list(dict.fromkeys(f"{kind}@{min(int(k), max(1, width))}" for kind, _, k in listed))


def _definitions(task: TaskSpec, names: Sequence[str], width: int) -> Iterator[Metric]:
    seen: set[str] = set()
    for name in names:
        found = _find(name)
        if isinstance(found, ScoreMetric):
            yield from found.definitions(width)
            continue
        listed = name if task.predicts_links else _list_names([name], width)[0]
        if listed not in seen:
            seen.add(listed)
            metric, k = find_list_metric(listed)
            yield metric.at(k) if task.predicts_links else metric.at(k, "example", "class")


def _evaluate(task: TaskSpec, names: Sequence[str], scores: Floats, true: Floats) -> dict[str, float]:
    width = scores.shape[1]
    wanted = [metric.name for metric in _definitions(task, names, width)]
    if not len(scores):
        return dict.fromkeys(wanted, math.nan)
    values: dict[str, float] = {}
    lists = _list_names(names, width)
    if lists:
        found = evaluate_lists(lists, ranked_classes(scores), _true_classes(task, true), width)
        values |= found.means if found.n_evaluated else dict.fromkeys(lists, math.nan)
    # One evaluation for all metrics of a family.
    scored = [metric for metric in map(_find, names) if isinstance(metric, ScoreMetric)]
    for evaluate in dict.fromkeys(metric.evaluate for metric in scored):
        values |= evaluate(scores, true)
    return {name: float(values.get(name, math.nan)) for name in wanted}


def _true_classes(task: TaskSpec, values: Floats) -> Ragged:
    """The classes that came true of each example."""
    if task.answer == "class":
        rows = np.flatnonzero(values[:, 0] >= 0)
        return Ragged.from_pairs(rows, values[rows, 0].astype(np.int64), len(values))
    row, label = np.nonzero(values)
    return Ragged.from_pairs(row, label, len(values))


def _list_draws(task: TaskSpec, names: Sequence[str], scores: Floats, values: Floats) -> Draws:
    truth = _true_classes(task, values)
    metrics = evaluate_lists(names, ranked_classes(scores), truth, scores.shape[1])
    columns = []
    for name in metrics.per_entity:
        column = np.zeros(len(values))
        column[metrics.rows] = metrics.per_entity[name]
        columns.append(column)
    per_example = np.stack([*columns, truth.counts > 0], axis=1).astype(np.float64)

    def draws(weights: Floats) -> dict[str, Floats]:
        *sums, of_any = (weights @ per_example).T
        return {name: ratio(column, of_any) for name, column in zip(metrics.per_entity, sums, strict=True)}

    return draws
