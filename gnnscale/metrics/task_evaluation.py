"""How good the answers to an entity task are: the metrics of scores against what came true, for each task.

Layouts of scores ``[N, V]`` and values ``[N, W]``, one row per example:

==========================  =============================  ==================================================
task                        scores                         values
==========================  =============================  ==================================================
binary classification       probability of true, V = 1     0 or 1, W = 1
regression                  value, V = 1                   value, W = 1
forecasting                 value of each frame            value of each frame
multiclass classification   probability of each class      index of the class, -1 for an unseen one, W = 1
multilabel classification   probability of each class      1 for each class that came true, else 0
==========================  =============================  ==================================================
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    log_loss,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)

from gnnscale.arrays import Flags, Ids, Ragged
from gnnscale.metrics.ranking_metrics import Floats, evaluate_ranking
from gnnscale.metrics.task_definitions import list_lengths, task_metrics
from gnnscale.query import TaskType
from gnnscale.schema import DataError

THRESHOLD: Final = 0.5
"""A probability from here on counts as a prediction of true."""

SMALLEST: Final = 1e-7
"""Probabilities are kept this far from 0 and 1, so that one bold mistake does not make the log loss infinite."""


def evaluate_task(task: TaskType, scores: npt.ArrayLike, values: npt.ArrayLike) -> dict[str, float]:
    """Compare scores with what came true.

    Args:
        task: an entity task.
        scores: ``[N, V]`` in the layout above.
        values: ``[N, W]`` in the layout above.

    Returns:
        Every metric of :func:`task_metrics` under its name; NaN where it is undefined, such as the AUROC of
        examples that all came true.

    Raises:
        DataError: shapes don't fit the task, scores aren't finite or probabilities lie outside 0 .. 1.
    """
    told, true = checked_scores(task, scores, values)
    names = [metric.name for metric in task_metrics(task, told.shape[1])]
    if not len(told):
        return dict.fromkeys(names, math.nan)
    found = _EVALUATE[task](told, true)
    return {name: float(found[name]) for name in names}


def checked_scores(task: TaskType, scores: npt.ArrayLike, values: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Scores ``[N, V]`` and values ``[N, W]`` as float64.

    Raises:
        DataError: as for :func:`evaluate_task`.
    """
    task_metrics(task)
    told, true = np.asarray(scores, dtype=np.float64), np.asarray(values, dtype=np.float64)
    one_value = task in (TaskType.BINARY_CLASSIFICATION, TaskType.REGRESSION)
    if told.ndim != 2 or true.ndim != 2 or len(told) != len(true) or told.shape[1] < 1:
        raise DataError(f"scores and values must be [N, V] and [N, W]: got {list(told.shape)} and {list(true.shape)}")
    wanted = 1 if one_value or task is TaskType.MULTICLASS_CLASSIFICATION else told.shape[1]
    if true.shape[1] != wanted or (one_value and told.shape[1] != 1):
        raise DataError(f"{task}: scores {list(told.shape)} don't fit values {list(true.shape)}")
    if not (np.isfinite(told).all() and np.isfinite(true).all()):
        raise DataError(f"{task}: scores and values must be finite numbers")
    if task in _PROBABILITIES and told.size and not -1e-3 <= told.min() <= told.max() <= 1 + 1e-3:
        raise DataError(f"{task}: probabilities must be in 0 .. 1: got {told.min():g} .. {told.max():g}")
    return told, true


def class_ranks(scores: Floats, classes: Ids) -> Ids:
    """Rank of one class of each row, from 1; of classes with equal scores the smaller index comes first.

    Args:
        scores: ``[N, C]``.
        classes: index of the class, int64 ``[N]``; must be >= 0.
    """
    own = scores[np.arange(len(scores)), classes][:, None]
    earlier = np.arange(scores.shape[1]) < classes[:, None]
    return 1 + ((scores > own) | ((scores == own) & earlier)).sum(axis=1)


def ranked_classes(scores: Floats) -> Ids:
    """Classes, best first, int64 ``[N, C]``; of classes with equal scores the smaller index comes first."""
    return np.argsort(-scores, axis=1, kind="stable")


def class_probabilities(scores: Floats) -> Floats:
    """Probabilities of each row made to sum to 1, none below ``SMALLEST``."""
    kept = np.clip(scores, SMALLEST, 1 - SMALLEST)
    return kept / kept.sum(axis=1, keepdims=True)


def class_lists(values: Floats) -> Ragged:
    """The classes that came true of each row of a multi-hot ``[N, C]``."""
    row, label = np.nonzero(values)
    return Ragged.from_pairs(row, label, len(values))


def _binary(scores: Floats, values: Floats) -> dict[str, float]:
    score, true = scores[:, 0], values[:, 0] > 0
    called = score >= THRESHOLD
    told = np.clip(score, SMALLEST, 1 - SMALLEST)
    both = bool(true.any() and not true.all())
    return {
        "auroc": roc_auc_score(true, score) if both else math.nan,
        "auprc": average_precision_score(true, score) if both else math.nan,
        "accuracy": accuracy_score(true, called),
        "f1": _f1(true, called),
        "log_loss": log_loss(true, told, labels=[False, True]),
    }


def _errors(scores: Floats, values: Floats) -> dict[str, float]:
    frames = {f"mae_frame_{f}": mean_absolute_error(values[:, f - 1], scores[:, f - 1]) for f in _frames(scores)}
    flat = values.ravel()
    return {
        "mae": mean_absolute_error(flat, scores.ravel()),
        "rmse": root_mean_squared_error(flat, scores.ravel()),
        # without any spread there is nothing to explain
        "r2": r2_score(flat, scores.ravel()) if np.ptp(flat) > 0 else math.nan,
        **frames,
    }


def _frames(scores: Floats) -> range:
    return range(1, scores.shape[1] + 1)


def _multiclass(scores: Floats, values: Floats) -> dict[str, float]:
    true, called = values[:, 0].astype(np.int64), scores.argmax(axis=1)
    known = true >= 0
    reciprocal = np.zeros(len(true))
    reciprocal[known] = 1 / class_ranks(scores[known], true[known])
    labels = np.union1d(true[known], called)
    told = class_probabilities(scores[known])
    # two classes are the least that log_loss takes probabilities of
    loss = log_loss(true[known], told, labels=np.arange(told.shape[1])) if known.any() and told.shape[1] > 1 else 0.0
    return {
        "accuracy": accuracy_score(true, called),
        "macro_f1": f1_score(true, called, labels=labels, average="macro", zero_division=0),
        "mrr": float(reciprocal.mean()),
        "log_loss": loss if known.any() else math.nan,
    }


def _multilabel(scores: Floats, values: Floats) -> dict[str, float]:
    true, called = values > 0, scores >= THRESHOLD
    ranked, truth, classes = ranked_classes(scores), class_lists(values), scores.shape[1]
    found: dict[str, float] = {}
    for k in list_lengths(classes):
        metrics = evaluate_ranking(ranked, truth, classes, ks=(k,))
        for name in ("map", "recall", "ndcg"):
            found[f"{name}@{k}"] = metrics.means[f"{name}@{k}"] if metrics.n_evaluated else math.nan
    mixed = true.any(axis=0) & ~true.all(axis=0)
    curves = [roc_auc_score(true[:, c], scores[:, c]) for c in np.flatnonzero(mixed)]
    return found | {
        "auroc": float(np.mean(curves)) if curves else math.nan,
        "micro_f1": _f1(true.ravel(), called.ravel()),
        "macro_f1": _macro_f1(true, called),
    }


def _f1(true: Flags, called: Flags) -> float:
    """F1; NaN where nothing came true and nothing was predicted."""
    return f1_score(true, called, zero_division=0) if (true | called).any() else math.nan


def _macro_f1(true: Flags, called: Flags) -> float:
    """Mean F1 of the classes that came true or were predicted at least once."""
    used = (true | called).any(axis=0)
    each = [f1_score(true[:, c], called[:, c], zero_division=0) for c in np.flatnonzero(used)]
    return float(np.mean(each)) if each else math.nan


_EVALUATE: Final = {
    TaskType.BINARY_CLASSIFICATION: _binary,
    TaskType.REGRESSION: _errors,
    TaskType.FORECASTING: _errors,
    TaskType.MULTICLASS_CLASSIFICATION: _multiclass,
    TaskType.MULTILABEL_CLASSIFICATION: _multilabel,
}

_PROBABILITIES: Final = frozenset(_EVALUATE) - {TaskType.REGRESSION, TaskType.FORECASTING}
