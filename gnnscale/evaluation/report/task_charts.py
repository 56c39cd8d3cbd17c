"""What the model's answers to an entity task look like, as charts: one or two for each task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from sklearn.metrics import roc_curve

from gnnscale.arrays import Flags, Ids
from gnnscale.evaluation.report.charts import Bar, Trace, bar_chart, plane_chart
from gnnscale.metrics import THRESHOLD, Floats, checked_scores
from gnnscale.query import BINARY_CLASSIFICATION, FORECASTING, MULTICLASS_CLASSIFICATION, REGRESSION, TaskSpec

BINS: Final = 10
"""Groups of examples with like scores."""

CLASSES: Final = 15
"""Classes that are shown, the most frequent in the test examples first."""


@dataclass(frozen=True)
class TaskChart:
    """A chart under its title, with a note on how to read it."""

    title: str
    note: str
    chart: Markup


def task_charts(
    task: TaskSpec, scores: npt.ArrayLike, values: npt.ArrayLike, classes: Sequence[str] = ()
) -> list[TaskChart]:
    """Charts of one method's scores.

    Args:
        task: an entity task.
        scores: ``[N, V]``.
        values: ``[N, W]``.
        classes: names of the classes, of tasks that have any.

    Raises:
        DataError: shapes don't fit the task.
    """
    told, true = checked_scores(task, scores, values)
    if task is BINARY_CLASSIFICATION:
        return [_calibration(told[:, 0], true[:, 0]), _roc(told[:, 0], true[:, 0])]
    if task is REGRESSION:
        return [_deciles(told.ravel(), true.ravel()), _errors(told, true)]
    if task is FORECASTING:
        return [_frames(told, true), _deciles(told.ravel(), true.ravel())]
    if task is MULTICLASS_CLASSIFICATION:
        columns = np.arange(told.shape[1])
        return _per_class(told.argmax(axis=1)[:, None] == columns, true.astype(np.int64) == columns, classes)
    return _per_class(told >= THRESHOLD, true > 0, classes)


def like_scored(score: Floats, bins: int = BINS) -> list[Ids]:
    """Rows in ``bins`` groups of nearly equal size, from the lowest scores to the highest; none is empty."""
    order = np.argsort(score, kind="stable")
    return [rows for rows in np.array_split(order, bins) if rows.size]


def _group_means(score: Floats, true: Floats) -> list[tuple[float, float]]:
    return [(float(score[rows].mean()), float(true[rows].mean())) for rows in like_scored(score)]


def _calibration(score: Floats, true: Floats) -> TaskChart:
    points = _group_means(score, true)
    chart = plane_chart(
        "Calibration", "mean predicted probability", "share that came true", [Trace(points, dots=True)], diagonal=True
    )
    return TaskChart(
        "Calibration", "Ten groups of examples with like scores; on the dashed line, scores are honest.", chart
    )


def _roc(score: Floats, true: Floats) -> TaskChart:
    points: list[tuple[float, float]] = []
    if 0 < true.sum() < len(true):
        falses, trues, _ = roc_curve(true, score)
        # some two hundred points are as many as the picture can show
        shown = np.unique(np.linspace(0, len(falses) - 1, 200).astype(np.int64))
        points = list(zip(falses[shown].tolist(), trues[shown].tolist(), strict=True))
    chart = plane_chart("ROC curve", "false positive rate", "true positive rate", [Trace(points)], diagonal=True)
    return TaskChart("ROC", "From the highest score down; the dashed line is chance.", chart)


def _deciles(score: Floats, true: Floats) -> TaskChart:
    points = _group_means(score, true)
    chart = plane_chart("Deciles", "mean predicted", "mean that came true", [Trace(points, dots=True)], diagonal=True)
    return TaskChart("Predicted and actual", "Ten groups by predicted value; on the dashed line, means agree.", chart)


def _errors(score: Floats, true: Floats) -> TaskChart:
    errors = np.sort(np.abs(score - true).ravel())
    shares = np.linspace(0, 0.95, 96)
    points = (
        [(float(x), float(s)) for x, s in zip(np.quantile(errors, shares), shares, strict=True)] if errors.size else []
    )
    chart = plane_chart("Absolute errors", "absolute error", "share of examples with at most it", [Trace(points)])
    return TaskChart("Errors", "How large errors are, up to the 95th percentile.", chart)


def _frames(score: Floats, true: Floats) -> TaskChart:
    frames = range(1, score.shape[1] + 1) if len(score) else range(0)
    means = [
        Trace([(f, float(table[:, f - 1].mean())) for f in frames], name, dots=True, main=name == "predicted")
        for name, table in (("came true", true), ("predicted", score))
    ]
    chart = plane_chart("Means of the frames", "frame", "mean over examples", means)
    return TaskChart("Frame by frame", "Means over all examples.", chart)


def _per_class(called: Flags, true: Flags, classes: Sequence[str]) -> list[TaskChart]:
    counts, hits = true.sum(axis=0), (true & called).sum(axis=0)
    order = [int(c) for c in np.argsort(-counts, kind="stable")[:CLASSES] if counts[c]]
    recall = {c: hits[c] / counts[c] for c in order}
    f1 = {c: 2 * hits[c] / (counts[c] + called[:, c].sum()) for c in order}
    note = f"The {len(order)} most frequent of {len(counts)} classes, and how often each came true."
    return [
        TaskChart(
            f"{name} of each class",
            note,
            bar_chart(
                name, [Bar(f"{_name(classes, c)} · {counts[c]:,}", float(told[c]), main=True) for c in order], 1.0
            ),
        )
        for name, told in (("Recall", recall), ("F1", f1))
    ]


def _name(classes: Sequence[str], place: int) -> str:
    """Name of a class, short enough to stand above a bar."""
    name = classes[place] if place < len(classes) else f"class {place + 1}"
    return name if len(name) <= 34 else name[:33] + "\N{HORIZONTAL ELLIPSIS}"
