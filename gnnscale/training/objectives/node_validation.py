"""Validation figures of the node-level tasks; the formulas are those of the evaluation."""

from __future__ import annotations

from gnnscale.batches import AnswerShape
from gnnscale.metrics import selection_metric
from gnnscale.training.objectives.objective import ModelSelection


def selection_of(shape: AnswerShape, top: int | None) -> ModelSelection:
    """The metric that a task's weights are chosen by.

    Args:
        shape: of the answers.
        top: classes that the query asks for.
    """
    metric = selection_metric(shape.task, shape.scores, top)
    return ModelSelection(metric.name, metric.higher_is_better)
