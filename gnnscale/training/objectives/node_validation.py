"""Validation figures of the node-level tasks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnscale.batches import AnswerShape
from gnnscale.query import TaskType
from gnnscale.training.objectives.objective import ModelSelection

Floats = NDArray[np.float32]
DEPTH = 10
"""Classes of a ranking that count, where the query does not say."""


def selection_of(shape: AnswerShape, top: int | None) -> ModelSelection:
    """The metric that a task's weights are chosen by."""
    if shape.task == TaskType.BINARY_CLASSIFICATION:
        return ModelSelection("auroc")
    if shape.task == TaskType.MULTICLASS_CLASSIFICATION:
        return ModelSelection("accuracy")
    if shape.task == TaskType.MULTILABEL_CLASSIFICATION:
        return ModelSelection(f"map@{_depth(shape, top)}")
    return ModelSelection("mae", maximize=False)


def measure(shape: AnswerShape, scores: Floats, values: Floats, top: int | None) -> dict[str, float]:
    """Metrics of predictions; the one that selects weights first.

    Args:
        shape: of the answers.
        scores: ``[examples, scores]``.
        values: labels, ``[examples, labels]``.
        top: classes that the query asks for.
    """
    # Half a second, which processes of rankings need not wait.
    from sklearn.metrics import accuracy_score, average_precision_score, log_loss

    known = ~np.isnan(values).any(axis=1)
    if shape.task not in (TaskType.REGRESSION, TaskType.FORECASTING):
        scores, values = scores[known], values[known]
    if shape.task == TaskType.BINARY_CLASSIFICATION:
        truth, score = values[:, 0], scores[:, 0]
        return {"auroc": _auroc(truth, score), "auprc": float(average_precision_score(truth, score))}
    if shape.task == TaskType.MULTICLASS_CLASSIFICATION:
        truth = values[:, 0].astype(int)
        named = truth >= 0
        loss = log_loss(truth[named], scores[named], labels=range(shape.scores)) if shape.scores > 1 else 0.0
        return {"accuracy": float(accuracy_score(truth, scores.argmax(1))), "log_loss": float(loss)}
    if shape.task == TaskType.MULTILABEL_CLASSIFICATION:
        depth = _depth(shape, top)
        parts = [_auroc(values[:, c], scores[:, c]) for c in range(shape.scores) if len(np.unique(values[:, c])) == 2]
        macro = float(np.mean(parts)) if parts else 0.5
        return {f"map@{depth}": _mean_precision(scores, values, depth), "macro_auroc": macro}
    error = (scores - values)[~np.isnan(values)].astype(np.float64)
    return {"mae": float(np.abs(error).mean()), "rmse": float(np.sqrt((error**2).mean()))}


def _depth(shape: AnswerShape, top: int | None) -> int:
    return min(top or DEPTH, shape.scores)


def _auroc(truth: Floats, score: Floats) -> float:
    from sklearn.metrics import roc_auc_score

    # One class alone can't be told apart.
    return float(roc_auc_score(truth, score)) if len(np.unique(truth)) == 2 else 0.5


def _mean_precision(scores: Floats, values: Floats, depth: int) -> float:
    """Mean over examples that have a class of the average precision of their first ``depth`` classes."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
    hit = np.take_along_axis(values, order, axis=1)
    precision = (np.cumsum(hit, axis=1) / np.arange(1, depth + 1) * hit).sum(1)
    positives = values.sum(1)
    some = positives > 0
    return float((precision[some] / np.minimum(positives[some], depth)).mean()) if some.any() else 0.0
