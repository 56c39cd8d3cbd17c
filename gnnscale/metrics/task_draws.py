"""Metrics of entity tasks when examples count several times: what a bootstrap asks for, many draws at once.

The same definitions as :mod:`gnnscale.metrics.task_evaluation`, written as sums over weighted examples, so that a
thousand draws of entities cost one product of matrices; curves take one sweep over the sorted scores for each draw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from gnnscale.arrays import Flags, Ids
from gnnscale.metrics.ranking_metrics import Floats, evaluate_ranking
from gnnscale.metrics.task_definitions import list_lengths
from gnnscale.metrics.task_evaluation import (
    SMALLEST,
    THRESHOLD,
    checked_scores,
    class_lists,
    class_probabilities,
    class_ranks,
    ranked_classes,
)
from gnnscale.query import TaskType
from gnnscale.schema import DataError

CELLS: Final = 1 << 22
"""Entries of a weight matrix: 32 MiB."""

Draws = Callable[[Floats], dict[str, Floats]]
"""From weights ``[draws, N]`` to metric -> its value in each draw, float64 ``[draws]``, NaN where undefined."""


def draw_metrics(task: TaskType, scores: npt.ArrayLike, values: npt.ArrayLike) -> Draws:
    """Prepare the metrics of one method for any number of draws.

    Args:
        task: an entity task.
        scores: ``[N, V]``.
        values: ``[N, W]``.

    Returns:
        A function of weights, float64 ``[draws, N]``: how often each example was drawn.

    Raises:
        DataError: as for :func:`gnnscale.metrics.task_evaluation.evaluate_task`.
    """
    return _PREPARE[task](*checked_scores(task, scores, values))


def entity_weights(entities: Ids, resamples: int, seed: int) -> Iterator[Floats]:
    """Draw entities with replacement, each with all of its examples.

    Args:
        entities: entity of each example, int64 ``[N]``.
        resamples: number of draws.
        seed: the same seed and entities give the same draws.

    Yields:
        Weights, float64 ``[draws, N]``, ``resamples`` draws in all.

    Raises:
        DataError: resamples is below 1.
    """
    if resamples < 1:
        raise DataError(f"resamples must be 1 or more: got {resamples}")
    distinct, place = np.unique(entities, return_inverse=True)
    n, generator = len(distinct), np.random.default_rng(seed)
    step = max(1, CELLS // max(1, len(entities)))
    for start in range(0, resamples, step):
        draws = min(step, resamples - start)
        counts = np.empty((draws, n))
        for draw in range(draws):
            counts[draw] = np.bincount(generator.integers(0, n, size=n), minlength=n) if n else 0
        yield counts[:, place]


def _binary(scores: Floats, values: Floats) -> Draws:
    score, true = scores[:, 0], values[:, 0] > 0
    called = score >= THRESHOLD
    told = np.clip(score, SMALLEST, 1 - SMALLEST)
    loss = -np.log(np.where(true, told, 1 - told))
    columns = np.stack([called == true, loss, true & called, true, called], axis=1).astype(np.float64)
    inference = _sweeper(score, true)

    def draws(weights: Floats) -> dict[str, Floats]:
        right, lost, hits, trues, calls = (weights @ columns).T
        total = weights.sum(axis=1)
        auroc, auprc = inference(weights)
        return {
            "auroc": auroc,
            "auprc": auprc,
            "accuracy": _ratio(right, total),
            "f1": _ratio(2 * hits, trues + calls),
            "log_loss": _ratio(lost, total),
        }

    return draws


def _errors(scores: Floats, values: Floats) -> Draws:
    gaps = np.abs(scores - values)  # [N, frames]
    frames = gaps.shape[1]
    # around the mean, so that large values with a small spread keep their digits
    true = values - (values.mean() if values.size else 0.0)
    sums = np.stack([gaps.sum(axis=1), (gaps**2).sum(axis=1), true.sum(axis=1), (true**2).sum(axis=1)], axis=1)

    def draws(weights: Floats) -> dict[str, Floats]:
        absolute, squared, first, second = (weights @ sums).T
        total = weights.sum(axis=1)
        cells = total * frames
        spread = second - _ratio(first**2, cells)
        # rounding leaves a spread a little above zero where all values drawn are one
        spread[spread <= 1e-9 * second] = 0.0
        each = _ratio(weights @ gaps, total[:, None])
        return {
            "mae": _ratio(absolute, cells),
            "rmse": np.sqrt(_ratio(squared, cells)),
            "r2": 1 - _ratio(squared, spread),
            **{f"mae_frame_{f + 1}": each[:, f] for f in range(frames)},
        }

    return draws


def _multiclass(scores: Floats, values: Floats) -> Draws:
    true, classes = values[:, 0].astype(np.int64), np.arange(scores.shape[1])
    called = scores.argmax(axis=1)
    known = true >= 0
    reciprocal, loss = np.zeros(len(true)), np.zeros(len(true))
    rows = np.flatnonzero(known)
    reciprocal[rows] = 1 / class_ranks(scores[rows], true[rows])
    loss[rows] = -np.log(class_probabilities(scores[rows])[np.arange(len(rows)), true[rows]])
    columns = np.stack([called == true, reciprocal, loss, known], axis=1).astype(np.float64)
    f1 = _class_f1(true[:, None] == classes, called[:, None] == classes)

    def draws(weights: Floats) -> dict[str, Floats]:
        right, reciprocals, lost, of_known = (weights @ columns).T
        total = weights.sum(axis=1)
        return {
            "accuracy": _ratio(right, total),
            "macro_f1": _mean_over_classes(f1(weights)),
            "mrr": _ratio(reciprocals, total),
            "log_loss": _ratio(lost, of_known),
        }

    return draws


def _multilabel(scores: Floats, values: Floats) -> Draws:
    true, called = values > 0, scores >= THRESHOLD
    classes = scores.shape[1]
    ranked, truth = ranked_classes(scores), class_lists(values)
    names: list[str] = []
    columns: list[Floats] = []
    for k in list_lengths(classes):
        metrics = evaluate_ranking(ranked, truth, classes, ks=(k,))
        for name in (f"map@{k}", f"recall@{k}", f"ndcg@{k}"):
            column = np.zeros(len(values))
            column[metrics.rows] = metrics.per_entity[name]
            names.append(name)
            columns.append(column)
    told = np.stack(
        [*columns, true.any(axis=1), (true & called).sum(axis=1), (true.sum(axis=1) + called.sum(axis=1))], 1
    )
    sweeps = [_sweeper(scores[:, c], true[:, c]) for c in range(classes)]
    f1 = _class_f1(true, called)

    def draws(weights: Floats) -> dict[str, Floats]:
        *sums, of_any, hits, marks = (weights @ told).T
        curves = np.stack([inference(weights)[0] for inference in sweeps], axis=1)  # [draws, classes]
        return {name: _ratio(column, of_any) for name, column in zip(names, sums, strict=True)} | {
            "auroc": _mean_over_classes(curves),
            "micro_f1": _ratio(2 * hits, marks),
            "macro_f1": _mean_over_classes(f1(weights)),
        }

    return draws


def _class_f1(true: Flags, called: Flags) -> Callable[[Floats], Floats]:
    """From weights to the F1 of each class ``[draws, C]``; NaN where it neither came true nor was predicted."""
    hits, marks = (true & called).astype(np.float64), true.astype(np.float64) + called
    return lambda weights: _ratio(2 * (weights @ hits), weights @ marks)


def _mean_over_classes(table: Floats) -> Floats:
    """Mean over the classes that are defined, ``[draws, C]`` to ``[draws]``."""
    return _ratio(np.nansum(table, axis=1), np.isfinite(table).sum(axis=1).astype(np.float64))


def _ratio(part: Floats, whole: Floats) -> Floats:
    """``part / whole``; NaN where whole is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(whole > 0, part / whole, np.nan)


def _sweeper(score: Floats, true: Flags) -> Callable[[Floats], tuple[Floats, Floats]]:
    """From weights to (AUROC, average precision) of each draw, NaN where all drawn are true or all are false."""
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.diff(score[order]) != 0, True)
    positive = true[order]

    def inference(weights: Floats) -> tuple[Floats, Floats]:
        auroc, precision = np.full(len(weights), np.nan), np.full(len(weights), np.nan)
        _sweep(weights, order, ends, positive, auroc, precision)
        return auroc, precision

    return inference


@njit(nogil=True, cache=True)
def _sweep(weights, order, ends, positive, auroc, precision):  # type: ignore[no-untyped-def]
    for draw in range(len(weights)):
        trues, falses, area, summed = 0.0, 0.0, 0.0, 0.0
        tied_true, tied_false = 0.0, 0.0
        for place in range(len(order)):
            weight = weights[draw, order[place]]
            if positive[place]:
                tied_true += weight
            else:
                tied_false += weight
            if ends[place]:
                # a false one loses to every true one above it, and by half to those it is tied with
                area += tied_false * (trues + tied_true / 2)
                trues += tied_true
                falses += tied_false
                if tied_true > 0:
                    summed += tied_true * trues / (trues + falses)
                tied_true, tied_false = 0.0, 0.0
        if trues > 0 and falses > 0:
            auroc[draw] = area / (trues * falses)
            precision[draw] = summed / trues


_PREPARE: Final = {
    TaskType.BINARY_CLASSIFICATION: _binary,
    TaskType.REGRESSION: _errors,
    TaskType.FORECASTING: _errors,
    TaskType.MULTICLASS_CLASSIFICATION: _multiclass,
    TaskType.MULTILABEL_CLASSIFICATION: _multilabel,
}
