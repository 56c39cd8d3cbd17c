"""Weights of methods, found by a greedy search on examples that none of them has learned from.

Forward selection with replacement, as of Caruana et al. 2004, "Ensemble Selection from Libraries of Models": each step
moves a share of the weight to one method. A step is taken only where its gain passes its own standard error, over
entities, and the fewer entities there are the nearer the result stays to the best single method.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import Ids

Weights = NDArray[np.float64]
Losses = NDArray[np.float64]

STEPS: Final = (0.7, 0.5, 0.35, 0.2, 0.1, 0.05)
"""Shares of the weight that one step moves."""

ROUNDS: Final = 12
"""Most steps."""

PRIOR: Final = 100
"""Entities that the best single method is worth: with as many, half of what the search moved is moved."""

LEAST: Final = 0.01
"""A weight below is none."""

GAIN: Final = 1e-4
"""Share of the loss that a step has to gain at least: less is rounding, or not worth another method."""


@dataclass(frozen=True, eq=False)
class Found:
    """What a search came to.

    Args:
        weights: of each method, float64 ``[methods]``, 0 or more, their sum 1.
        loss: mean loss with them.
        single: mean loss of each method alone, float64 ``[methods]``.
    """

    weights: Weights
    loss: float
    single: Losses


def search_weights(loss_of: Callable[[Weights], Losses], methods: int, entities: Ids) -> Found:
    """Weights of methods that make a loss small.

    Args:
        loss_of: loss of each of N examples under some weights, float64 ``[N]``.
        methods: their number; of equally good ones the first is taken.
        entities: of each example, int64 ``[N]``; examples of one entity are taken to hang together.
    """
    alone = np.eye(methods)
    each = [loss_of(weights) for weights in alone]
    single = np.array([losses.mean() for losses in each])
    best = int(single.argmin())
    _, owner = np.unique(entities, return_inverse=True)
    count = int(owner.max(initial=-1)) + 1
    weights, losses = alone[best], each[best]
    for _ in range(ROUNDS):
        step = _best_step(loss_of, weights, losses, owner, count)
        if step is None:
            break
        weights, losses = step
    kept = count / (count + PRIOR)
    weights = _rounded(kept * weights + (1 - kept) * alone[best])
    return Found(weights, float(loss_of(weights).mean()), single)


def _best_step(
    loss_of: Callable[[Weights], Losses], weights: Weights, losses: Losses, owner: Ids, count: int
) -> tuple[Weights, Losses] | None:
    """The step of the largest gain among those that pass their standard error; None where there is none."""
    found, most = None, GAIN * abs(float(losses.mean()))
    for method in np.eye(len(weights)):
        for share in STEPS:
            tried = (1 - share) * weights + share * method
            if np.allclose(tried, weights):
                continue
            new = loss_of(tried)
            gain, error = mean_and_error(losses - new, owner, count)
            if gain > max(error, most):
                found, most = (tried, new), gain
    return found


def mean_and_error(values: Losses, owner: Ids, count: int) -> tuple[float, float]:
    """Mean over examples, and its standard error where examples of one owner are drawn together.

    Args:
        values: float64 ``[N]``.
        owner: of each, int64 ``[N]``, from 0.
        count: of owners.
    """
    mean = float(values.mean()) if len(values) else 0.0
    if count < 2:
        return mean, np.inf
    sums = np.bincount(owner, weights=values - mean, minlength=count)
    return mean, float(np.sqrt((sums**2).sum() * count / (count - 1)) / len(values))


def _rounded(weights: Weights) -> Weights:
    kept = np.where(weights < LEAST, 0.0, np.round(weights, 4))
    return np.asarray(kept / kept.sum(), np.float64)
