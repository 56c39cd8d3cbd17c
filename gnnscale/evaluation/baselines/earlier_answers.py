"""What came true of the rows that name the same row, as far as that is known by then."""

from __future__ import annotations

from typing import Self

import numpy as np

from gnnscale.evaluation.baselines.baseline import Array, BaselineInputs, NodeBaseline
from gnnscale.evaluation.baselines.simple_baselines import Constant
from gnnscale.evaluation.blend.node_space import has_answer, losses, to_space
from gnnscale.query import TaskSpec
from gnnscale.schema import BASELINES, DataError


class EarlierAnswers:
    """The shrunk mean of earlier answers along the foreign keys by which it fits the validation examples best.

    Without any, the training examples decide.

    Where nothing is known, and for classes beyond the most frequent, it says what a constant would.

    Args:
        task: a node-level task.
        classes: number of classes, C, of tasks that have any.
    """

    def __init__(self, task: TaskSpec, classes: int = 0) -> None:
        self.task = task
        self.otherwise = Constant.of_means(task, classes)
        self.link = 0

    def fit(
        self, inputs: BaselineInputs, values: Array, validation: tuple[BaselineInputs, Array] | None = None
    ) -> Self:
        """Choose the foreign key.

        Raises:
            DataError: there are no training examples, or the inputs hold no earlier answers.
        """
        self.otherwise.fit(inputs, values)
        if inputs.earlier is None:
            raise DataError("the examples hold no earlier answers")
        judge, truth = inputs, values
        if validation is not None and validation[0].earlier is not None and has_answer(self.task, validation[1]).any():
            judge, truth = validation
        known = has_answer(self.task, truth)
        costs = []
        for link in range(inputs.earlier.means.shape[1]):
            spaced = to_space(self.task, self._scores(judge, link))
            costs.append(losses(self.task, spaced[known], truth[known]).mean())
        self.link = int(np.argmin(costs))
        return self

    def predict(self, inputs: BaselineInputs) -> Array:
        """Scores, float32 ``[N, V]``."""
        return self._scores(inputs, self.link)

    def _scores(self, inputs: BaselineInputs, link: int) -> Array:
        usual = self.otherwise.predict(inputs)
        assert inputs.earlier is not None
        told = inputs.earlier.means[:, link]
        width = told.shape[1]
        found = usual.copy()
        found[:, :width] = np.where(np.isnan(told), usual[:, :width], told)
        if self.task.answer == "class":
            # What the classes that are told leave goes to the others by their shares.
            rest = usual[:, width:].sum(axis=1, keepdims=True)
            left = np.clip(1 - found[:, :width].sum(axis=1, keepdims=True), 0, 1)
            found[:, width:] *= np.divide(left, rest, out=np.zeros_like(rest), where=rest > 0)
        return found.astype(np.float32)


def _earlier_answers(task: TaskSpec, classes: int, seed: int) -> EarlierAnswers:
    return EarlierAnswers(task, classes)


BASELINES.register("earlier_answers")(
    NodeBaseline(
        "earlier_answers",
        "Earlier answers",
        "The mean of what came true of the rows that name the same row, as far as it was known by then, with the mean "
        "of all that was known counted five times; along the foreign keys that fit the validation examples best.",
        ("truth", "class", "classes", "value"),
        make=_earlier_answers,
        needs_earlier=True,
    )
)
