"""Metrics of probabilities of classes of which one comes true: scores ``[N, C]``, values ``[N, 1]``, -1 for unseen."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from gnnscale.arrays import Ids
from gnnscale.metrics.metric import SMALLEST, Draws, Floats, Metric, ScoreMetric
from gnnscale.metrics.weighted_draws import class_f1, mean_over_classes, ratio
from gnnscale.schema import METRICS


def class_ranks(scores: Floats, classes: Ids) -> Ids:
    """Rank of one class of each row, from 1; of classes with equal scores the smaller index comes first.

    Args:
        scores: ``[N, C]``.
        classes: index of the class, int64 ``[N]``; must be >= 0.
    """
    own = scores[np.arange(len(scores)), classes][:, None]
    earlier = np.arange(scores.shape[1]) < classes[:, None]
    return 1 + ((scores > own) | ((scores == own) & earlier)).sum(axis=1)


def class_probabilities(scores: Floats) -> Floats:
    """Probabilities of each row made to sum to 1, none below ``SMALLEST``."""
    kept = np.clip(scores, SMALLEST, 1 - SMALLEST)
    return kept / kept.sum(axis=1, keepdims=True)


def _evaluate(scores: Floats, values: Floats) -> dict[str, float]:
    # Half a second, which processes that rank need not wait.
    from sklearn.metrics import accuracy_score, f1_score, log_loss

    true, called = values[:, 0].astype(np.int64), scores.argmax(axis=1)
    known = true >= 0
    reciprocal = np.zeros(len(true))
    reciprocal[known] = 1 / class_ranks(scores[known], true[known])
    labels = np.union1d(true[known], called)
    probabilities = class_probabilities(scores[known])
    # two classes are the least that log_loss takes probabilities of
    width = probabilities.shape[1]
    loss = log_loss(true[known], probabilities, labels=np.arange(width)) if known.any() and width > 1 else 0.0
    return {
        "accuracy": accuracy_score(true, called),
        "macro_f1": f1_score(true, called, labels=labels, average="macro", zero_division=0),
        "mrr": float(reciprocal.mean()),
        "log_loss": loss if known.any() else math.nan,
    }


def _prepare(scores: Floats, values: Floats) -> Draws:
    true, classes = values[:, 0].astype(np.int64), np.arange(scores.shape[1])
    called = scores.argmax(axis=1)
    known = true >= 0
    reciprocal, loss = np.zeros(len(true)), np.zeros(len(true))
    rows = np.flatnonzero(known)
    reciprocal[rows] = 1 / class_ranks(scores[rows], true[rows])
    loss[rows] = -np.log(class_probabilities(scores[rows])[np.arange(len(rows)), true[rows]])
    columns = np.stack([called == true, reciprocal, loss, known], axis=1).astype(np.float64)
    f1 = class_f1(true[:, None] == classes, called[:, None] == classes)

    def draws(weights: Floats) -> dict[str, Floats]:
        right, reciprocals, lost, of_known = (weights @ columns).T
        total = weights.sum(axis=1)
        return {
            "accuracy": ratio(right, total),
            "macro_f1": mean_over_classes(f1(weights)),
            "mrr": ratio(reciprocals, total),
            "log_loss": ratio(lost, of_known),
        }

    return draws


CLASS_ACCURACY: Final = METRICS.register("class_accuracy")(
    ScoreMetric(
        Metric(
            "accuracy",
            "Accuracy",
            "Share of examples whose most probable class came true. A class that training never saw counts as wrong.",
        ),
        _evaluate,
        _prepare,
    )
)

CLASS_MACRO_F1: Final = METRICS.register("class_macro_f1")(
    ScoreMetric(
        Metric(
            "macro_f1", "Macro F1", "Mean over the classes that came true or were predicted of the F1 of each class."
        ),
        _evaluate,
        _prepare,
    )
)

CLASS_MRR: Final = METRICS.register("class_mrr")(
    ScoreMetric(
        Metric("mrr", "MRR", "Mean of 1 / rank of the class that came true; 0 for a class that training never saw."),
        _evaluate,
        _prepare,
    )
)

CLASS_LOG_LOSS: Final = METRICS.register("class_log_loss")(
    ScoreMetric(
        Metric(
            "log_loss",
            "Log loss",
            "Mean of ln(1 / p), p being the probability of the class that came true; over examples of known classes.",
            higher_is_better=False,
        ),
        _evaluate,
        _prepare,
    )
)
