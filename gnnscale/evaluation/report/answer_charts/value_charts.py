"""Values in the unit of the target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gnnscale.evaluation.report.answer_charts.chart import AnswerChart, group_means
from gnnscale.evaluation.report.charts import Trace, plane_chart
from gnnscale.metrics import Floats
from gnnscale.query import TaskSpec
from gnnscale.schema import CHARTS


@CHARTS.register("predicted_and_actual")
def predicted_and_actual(task: TaskSpec, scores: Floats, values: Floats, classes: Sequence[str]) -> AnswerChart:
    """Means of what came true, of examples with like predictions."""
    score, true = scores.ravel(), values.ravel()
    points = group_means(score, true)
    chart = plane_chart("Deciles", "mean predicted", "mean that came true", [Trace(points, dots=True)], diagonal=True)
    return AnswerChart("Predicted and actual", "Ten groups by predicted value; on the dashed line, means agree.", chart)


@CHARTS.register("errors")
def errors(task: TaskSpec, scores: Floats, values: Floats, classes: Sequence[str]) -> AnswerChart:
    """How large errors are."""
    score, true = scores, values
    errors = np.sort(np.abs(score - true).ravel())
    shares = np.linspace(0, 0.95, 96)
    points = (
        [(float(x), float(s)) for x, s in zip(np.quantile(errors, shares), shares, strict=True)] if errors.size else []
    )
    chart = plane_chart("Absolute errors", "absolute error", "share of examples with at most it", [Trace(points)])
    return AnswerChart("Errors", "How large errors are, up to the 95th percentile.", chart)


@CHARTS.register("frames")
def frames(task: TaskSpec, scores: Floats, values: Floats, classes: Sequence[str]) -> AnswerChart:
    """Means of each frame."""
    score, true = scores, values
    frames = range(1, score.shape[1] + 1) if len(score) else range(0)
    means = [
        Trace([(f, float(table[:, f - 1].mean())) for f in frames], name, dots=True, main=name == "predicted")
        for name, table in (("came true", true), ("predicted", score))
    ]
    chart = plane_chart("Means of the frames", "frame", "mean over examples", means)
    return AnswerChart("Frame by frame", "Means over all examples.", chart)
