"""Metrics of probabilities that a condition holds: scores and values are ``[N, 1]``."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from gnnscale.arrays import Flags
from gnnscale.metrics.metric import SMALLEST, THRESHOLD, Draws, Floats, Metric, ScoreMetric
from gnnscale.metrics.weighted_draws import curve_areas, ratio
from gnnscale.schema import METRICS


def _evaluate(scores: Floats, values: Floats) -> dict[str, float]:
    # Half a second, which processes that rank need not wait.
    from sklearn.metrics import accuracy_score, average_precision_score, log_loss, roc_auc_score

    score, true = scores[:, 0], values[:, 0] > 0
    called = score >= THRESHOLD
    probability = np.clip(score, SMALLEST, 1 - SMALLEST)
    both = bool(true.any() and not true.all())
    return {
        "auroc": roc_auc_score(true, score) if both else math.nan,
        "auprc": average_precision_score(true, score) if both else math.nan,
        "accuracy": accuracy_score(true, called),
        "f1": f1_of(true, called),
        "log_loss": log_loss(true, probability, labels=[False, True]),
    }


def _prepare(scores: Floats, values: Floats) -> Draws:
    score, true = scores[:, 0], values[:, 0] > 0
    called = score >= THRESHOLD
    probability = np.clip(score, SMALLEST, 1 - SMALLEST)
    loss = -np.log(np.where(true, probability, 1 - probability))
    columns = np.stack([called == true, loss, true & called, true, called], axis=1).astype(np.float64)
    areas = curve_areas(score, true)

    def draws(weights: Floats) -> dict[str, Floats]:
        right, lost, hits, trues, calls = (weights @ columns).T
        total = weights.sum(axis=1)
        auroc, auprc = areas(weights)
        return {
            "auroc": auroc,
            "auprc": auprc,
            "accuracy": ratio(right, total),
            "f1": ratio(2 * hits, trues + calls),
            "log_loss": ratio(lost, total),
        }

    return draws


def f1_of(true: Flags, called: Flags) -> float:
    """F1; NaN where nothing came true and nothing was predicted."""
    from sklearn.metrics import f1_score

    return f1_score(true, called, zero_division=0) if (true | called).any() else math.nan


AUROC: Final = METRICS.register("auroc")(
    ScoreMetric(
        Metric("auroc", "AUROC", "Chance that a true example scores higher than a false one."), _evaluate, _prepare
    )
)

AUPRC: Final = METRICS.register("auprc")(
    ScoreMetric(
        Metric(
            "auprc", "AUPRC", "Average precision: the precision at the score of each true example, averaged over them."
        ),
        _evaluate,
        _prepare,
    )
)

ACCURACY: Final = METRICS.register("accuracy")(
    ScoreMetric(
        Metric("accuracy", "Accuracy", "Share of examples that a threshold of 0.5 puts on the right side."),
        _evaluate,
        _prepare,
    )
)

F1: Final = METRICS.register("f1")(
    ScoreMetric(Metric("f1", "F1", "Harmonic mean of precision and recall at a threshold of 0.5."), _evaluate, _prepare)
)

LOG_LOSS: Final = METRICS.register("log_loss")(
    ScoreMetric(
        Metric(
            "log_loss",
            "Log loss",
            "Mean of ln(1 / p), p being the probability given to what came true, at least 10⁻⁷.",
            higher_is_better=False,
        ),
        _evaluate,
        _prepare,
    )
)
