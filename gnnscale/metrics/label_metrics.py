"""Metrics of probabilities of classes of which several come true: scores and values are ``[N, C]``."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from gnnscale.arrays import Flags
from gnnscale.metrics.binary_metrics import f1_of
from gnnscale.metrics.metric import THRESHOLD, Draws, Floats, Metric, ScoreMetric
from gnnscale.metrics.weighted_draws import class_f1, curve_areas, mean_over_classes, ratio
from gnnscale.schema import METRICS


def _evaluate(scores: Floats, values: Floats) -> dict[str, float]:
    # Half a second, which processes that rank need not wait.
    from sklearn.metrics import roc_auc_score

    true, called = values > 0, scores >= THRESHOLD
    mixed = true.any(axis=0) & ~true.all(axis=0)
    curves = [roc_auc_score(true[:, c], scores[:, c]) for c in np.flatnonzero(mixed)]
    return {
        "auroc": float(np.mean(curves)) if curves else math.nan,
        "micro_f1": f1_of(true.ravel(), called.ravel()),
        "macro_f1": _macro_f1(true, called),
    }


def _macro_f1(true: Flags, called: Flags) -> float:
    """Mean F1 of the classes that came true or were predicted at least once."""
    used = (true | called).any(axis=0)
    each = [f1_of(true[:, c], called[:, c]) for c in np.flatnonzero(used)]
    return float(np.mean(each)) if each else math.nan


def _prepare(scores: Floats, values: Floats) -> Draws:
    true, called = values > 0, scores >= THRESHOLD
    counts = np.stack([(true & called).sum(axis=1), true.sum(axis=1) + called.sum(axis=1)], axis=1).astype(np.float64)
    of_class = [curve_areas(scores[:, c], true[:, c]) for c in range(scores.shape[1])]
    f1 = class_f1(true, called)

    def draws(weights: Floats) -> dict[str, Floats]:
        hits, marks = (weights @ counts).T
        curves = np.stack([areas(weights)[0] for areas in of_class], axis=1)  # [draws, classes]
        return {
            "auroc": mean_over_classes(curves),
            "micro_f1": ratio(2 * hits, marks),
            "macro_f1": mean_over_classes(f1(weights)),
        }

    return draws


LABEL_AUROC: Final = METRICS.register("label_auroc")(
    ScoreMetric(
        Metric("auroc", "AUROC", "Mean over classes of the AUROC of each class that some examples have and some lack."),
        _evaluate,
        _prepare,
    )
)

LABEL_MICRO_F1: Final = METRICS.register("label_micro_f1")(
    ScoreMetric(
        Metric("micro_f1", "Micro F1", "F1 over all pairs of an example and a class, at a threshold of 0.5."),
        _evaluate,
        _prepare,
    )
)

LABEL_MACRO_F1: Final = METRICS.register("label_macro_f1")(
    ScoreMetric(
        Metric(
            "macro_f1", "Macro F1", "Mean over the classes that came true or were predicted of the F1 of each, at 0.5."
        ),
        _evaluate,
        _prepare,
    )
)
