"""Probabilities that a condition holds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import roc_curve

from gnnscale.evaluation.report.answer_charts.chart import AnswerChart, group_means
from gnnscale.evaluation.report.charts import Trace, plane_chart
from gnnscale.metrics import Floats
from gnnscale.query import TaskSpec
from gnnscale.schema import CHARTS


@CHARTS.register("calibration")
def calibration(task: TaskSpec, scores: Floats, values: Floats, classes: Sequence[str]) -> AnswerChart:
    """What came true of examples with like scores."""
    score, true = scores[:, 0], values[:, 0]
    points = group_means(score, true)
    chart = plane_chart(
        "Calibration", "mean predicted probability", "share that came true", [Trace(points, dots=True)], diagonal=True
    )
    return AnswerChart(
        "Calibration", "Ten groups of examples with like scores; on the dashed line, scores are honest.", chart
    )


@CHARTS.register("roc")
def roc(task: TaskSpec, scores: Floats, values: Floats, classes: Sequence[str]) -> AnswerChart:
    """True ones found for false ones let through."""
    score, true = scores[:, 0], values[:, 0]
    points: list[tuple[float, float]] = []
    if 0 < true.sum() < len(true):
        falses, trues, _ = roc_curve(true, score)
        # some two hundred points are as many as the picture can show
        shown = np.unique(np.linspace(0, len(falses) - 1, 200).astype(np.int64))
        points = list(zip(falses[shown].tolist(), trues[shown].tolist(), strict=True))
    chart = plane_chart("ROC curve", "false positive rate", "true positive rate", [Trace(points)], diagonal=True)
    return AnswerChart("ROC", "From the highest score down; the dashed line is chance.", chart)
