"""How answers of node-level tasks are averaged, and what a wrong one costs.

Probabilities are averaged as logits (of classes that exclude each other as logarithms), numbers as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logsumexp

from gnnscale.evaluation.blend.blend import Member
from gnnscale.query import TaskSpec

Scores = NDArray[np.float32]
Spaced = NDArray[np.float64]

SURE: Final = 1e-5
"""Nearest that a probability comes to 0 or 1."""

PULL: Final = 5.0
"""Examples that hold a calibration at what the method says by itself."""

CELLS: Final = 1 << 22
"""Scores that are averaged at once: 32 MiB a method."""


def to_space(task: TaskSpec, scores: Scores) -> Spaced:
    """Scores as what is averaged, float64 of the same shape."""
    values = np.asarray(scores, np.float64)
    if task.predicts_values:
        return values
    sure = values.clip(SURE, 1 - SURE)
    return np.asarray(np.log(sure) if task.answer == "class" else np.log(sure) - np.log1p(-sure), np.float64)


def from_space(task: TaskSpec, spaced: Spaced) -> Scores:
    """Inverse of :func:`to_space`; probabilities of classes that exclude each other sum to 1."""
    if task.predicts_values:
        found = spaced
    elif task.answer == "class":
        found = np.exp(spaced - logsumexp(spaced, axis=1, keepdims=True))
    else:
        found = expit(spaced)
    return np.asarray(found, np.float32)


def blend_scores(task: TaskSpec, members: Sequence[Member], scores: Mapping[str, Scores]) -> Scores:
    """Scores of several methods as one, float32 ``[N, V]`` in the layout of the task.

    Args:
        task: a node-level task.
        members: with their weights.
        scores: name of each -> float32 ``[N, V]``.
    """
    first = scores[members[0].name]
    found = np.empty(first.shape, np.float32)
    step = max(1, CELLS // max(1, first.shape[1]))
    for start in range(0, len(first), step):
        part = slice(start, start + step)
        spaced = [m.weight * (m.scale * to_space(task, scores[m.name][part]) + m.shift) for m in members]
        found[part] = from_space(task, np.sum(spaced, axis=0))
    return found


def has_answer(task: TaskSpec, values: Scores, classes: int | None = None) -> NDArray[np.bool_]:
    """Which examples have a known answer, bool ``[N]``.

    Args:
        task: a node-level task.
        values: what came true, ``[N, W]``: NaN, and of classes that exclude each other -1, where that is not known.
        classes: of the most frequent classes, as many count; None for all.
    """
    found = np.asarray(~np.isnan(values).all(axis=1), np.bool_)
    if task.answer == "class":
        found &= values[:, 0] >= 0
        found &= values[:, 0] < classes if classes is not None else True
    return found


def losses(task: TaskSpec, spaced: Spaced, values: Scores) -> Spaced:
    """What answers cost, float64 ``[N]``: the logarithmic loss of probabilities, the mean absolute error of numbers.

    Args:
        task: a node-level task.
        spaced: ``[N, V]``, see :func:`to_space`.
        values: what came true, ``[N, W]``, known of every example; NaN of a frame that is not.
    """
    if task.predicts_values:
        return np.asarray(np.nanmean(np.abs(spaced - values), axis=1), np.float64)
    if task.answer == "class":
        right = np.take_along_axis(spaced, values.astype(np.int64), axis=1)[:, 0]
        return np.asarray(logsumexp(spaced, axis=1) - right, np.float64)
    # log(1 + exp(-s)) of what came true, log(1 + exp(s)) of what did not
    return np.asarray(np.logaddexp(0, np.where(values > 0.5, -spaced, spaced)).mean(axis=1), np.float64)


def calibrate(logits: Spaced, values: Scores) -> tuple[float, float]:
    """Scale (0 or more) and shift of a method's logits that make its logarithmic loss small (Platt 1999).

    Args:
        logits: ``[N, 1]``.
        values: 0 or 1, ``[N, 1]``.

    Returns:
        1 and 0 where the examples are all of one kind.
    """
    z, sign = logits[:, 0], np.where(values[:, 0] > 0.5, 1.0, -1.0)
    if not len(z) or abs(sign.sum()) == len(sign):
        return 1.0, 0.0
    pull = PULL / len(z)

    def cost(parameters: Spaced) -> tuple[float, Spaced]:
        scale, shift = parameters
        margin = sign * (scale * z + shift)
        slope = -sign * expit(-margin)
        value = np.logaddexp(0, -margin).mean() + pull * ((scale - 1) ** 2 + shift**2)
        slopes = [(slope * z).mean() + 2 * pull * (scale - 1), slope.mean() + 2 * pull * shift]
        return float(value), np.array(slopes)

    found = minimize(cost, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0, None), (None, None)])
    return float(found.x[0]), float(found.x[1])
