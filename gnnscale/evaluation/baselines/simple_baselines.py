"""What a model of a node-level task has to beat: constants of the training examples, and each entity's own past.

Boosted trees, the baseline that learns, are in :mod:`gnnscale.evaluation.baselines.boosted_trees`.
"""

from __future__ import annotations

from functools import partial
from typing import Final, Literal, Self

import numpy as np

from gnnscale.evaluation.baselines.baseline import Array, BaselineInputs, NodeBaseline
from gnnscale.query import TaskSpec
from gnnscale.schema import BASELINES, DataError

Statistic = Literal["share", "mean", "median"]
"""What a constant baseline takes of the training values."""

OWN: Final = 0.5
"""Weight of what an entity had last time; the rest goes to the training shares, which order all else."""


class Constant:
    """The same answer for everyone.

    Args:
        task: a node-level task.
        statistic: of the training values: ``mean`` and ``median`` are of each frame; ``share`` is that of the true
            examples or of each class, as a probability.
        classes: number of classes, C, of tasks that have any.
    """

    def __init__(self, task: TaskSpec, statistic: Statistic, classes: int = 0) -> None:
        self.task = task
        self.statistic = statistic
        self.classes = classes
        self.answer: Array = np.zeros(0, np.float32)

    @classmethod
    def of_means(cls, task: TaskSpec, classes: int = 0) -> Self:
        """Means of values, shares of what comes true."""
        return cls(task, "mean" if task.predicts_values else "share", classes)

    def fit(
        self, inputs: BaselineInputs, values: Array, validation: tuple[BaselineInputs, Array] | None = None
    ) -> Self:
        """Take the statistic.

        Raises:
            DataError: there are no training examples.
        """
        if not len(values):
            raise DataError("there are no training examples to take a baseline from")
        if self.statistic == "median":
            answer = np.median(values, axis=0)
        elif self.task.answer == "class":
            answer = (values.astype(np.int64) == np.arange(self.classes)).mean(axis=0)
        else:
            answer = values.mean(axis=0, dtype=np.float64)
        self.answer = answer.astype(np.float32)
        return self

    def predict(self, inputs: BaselineInputs) -> Array:
        """The answer, float32 ``[N, V]``."""
        return np.tile(self.answer, (len(inputs), 1))


class OwnPast:
    """What the entity had last time; where that is unknown, what a constant would say.

    Probabilities give half to what was last time and half to the training shares: the first always leads, and the
    shares tell the rest apart.

    Args:
        task: a node-level task.
        classes: number of classes, C, of tasks that have any.
    """

    def __init__(self, task: TaskSpec, classes: int = 0) -> None:
        self.task = task
        self.otherwise = Constant.of_means(task, classes)

    def fit(
        self, inputs: BaselineInputs, values: Array, validation: tuple[BaselineInputs, Array] | None = None
    ) -> Self:
        """Learn what to say where the past is unknown.

        Raises:
            DataError: there are no training examples.
        """
        self.otherwise.fit(inputs, values)
        return self

    def predict(self, inputs: BaselineInputs) -> Array:
        """Scores, float32 ``[N, V]``."""
        usual = self.otherwise.predict(inputs)
        past = inputs.past
        if self.task.answer == "class":
            known = past[:, 0] >= 0  # neither NaN nor a class that training never saw
            last = past[:, :1] == np.arange(usual.shape[1])
            return np.where(known[:, None], OWN * last + (1 - OWN) * usual, usual).astype(np.float32)
        if self.task.predicts_values:
            return np.where(np.isnan(past), usual, past).astype(np.float32)
        return np.where(np.isnan(past), usual, OWN * past + (1 - OWN) * usual).astype(np.float32)


def _constant(statistic: Statistic, task: TaskSpec, classes: int, seed: int) -> Constant:
    return Constant(task, statistic, classes)


def _own_past(task: TaskSpec, classes: int, seed: int) -> OwnPast:
    return OwnPast(task, classes)


BASELINES.register("own_past")(
    NodeBaseline(
        "own_past",
        "Own past",
        "What came true for the entity in the window that ends at the anchor; where that is unknown, the mean or the "
        "shares of the training examples.",
        make=_own_past,
        needs_past=True,
    )
)
BASELINES.register("base_rate")(
    NodeBaseline(
        "base_rate",
        "Base rate",
        "The share of training examples that came true, for everyone.",
        make=partial(_constant, "share"),
    )
)
BASELINES.register("global_mean")(
    NodeBaseline(
        "global_mean",
        "Global mean",
        "The mean of the training examples, for everyone.",
        make=partial(_constant, "mean"),
    )
)
BASELINES.register("global_median")(
    NodeBaseline(
        "global_median",
        "Global median",
        "The median of the training examples, for everyone.",
        make=partial(_constant, "median"),
    )
)
BASELINES.register("majority")(
    NodeBaseline(
        "majority",
        "Majority class",
        "The share of each class in the training examples, for everyone.",
        make=partial(_constant, "share"),
    )
)
BASELINES.register("class_popularity")(
    NodeBaseline(
        "popularity",
        "Popularity",
        "The share of training examples that each class came true for, for everyone.",
        make=partial(_constant, "share"),
    )
)
