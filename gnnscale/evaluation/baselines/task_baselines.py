"""What a model of an entity task has to beat: constants of the training examples, and each entity's own past.

Boosted trees, the baseline that learns, are in :mod:`gnnscale.evaluation.baselines.boosted_trees`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from gnnscale.query import (
    BINARY_CLASSIFICATION,
    FORECASTING,
    MULTICLASS_CLASSIFICATION,
    MULTILABEL_CLASSIFICATION,
    REGRESSION,
    TaskSpec,
)
from gnnscale.schema import DataError

Array = NDArray[np.float32]

Statistic = Literal["share", "mean", "median"]
"""What a constant baseline takes of the training values."""

OWN: Final = 0.5
"""Weight of what an entity had last time; the rest goes to the training shares, which order all else."""


@dataclass(frozen=True, eq=False)
class BaselineInputs:
    """What baselines may know of N examples.

    Args:
        past: the target over the window that ends at the anchor, float32 ``[N, W]``, NaN where unknown.
        features: of the entity at the anchor, float32 ``[N, F]``; NaN where unknown.
        pairs: of the entity and each class, float32 ``[N, C, G]``, for tasks with classes; None for none.

    Raises:
        DataError: the parts have different numbers of rows.
    """

    past: Array
    features: Array
    pairs: Array | None = None

    def __post_init__(self) -> None:
        rows = {len(part) for part in (self.past, self.features, self.pairs) if part is not None}
        if len(rows) > 1 or self.past.ndim != 2 or self.features.ndim != 2:
            raise DataError(
                f"past and features must be [N, W] and [N, F]: got {self.past.shape}, {self.features.shape}"
            )

    def __len__(self) -> int:
        return len(self.past)

    def take(self, rows: NDArray[np.int64]) -> BaselineInputs:
        """The inputs of these rows, in their order."""
        pairs = None if self.pairs is None else self.pairs[rows]
        return BaselineInputs(self.past[rows], self.features[rows], pairs)


class TaskBaseline(Protocol):
    """Learns from training examples and scores others."""

    def fit(
        self, inputs: BaselineInputs, values: Array, validation: tuple[BaselineInputs, Array] | None = None
    ) -> Self:
        """Learn from ``inputs`` and ``values`` ``[N, W]``; ``validation`` tells when to stop, where it does."""
        ...

    def predict(self, inputs: BaselineInputs) -> Array:
        """Scores, float32 ``[N, V]`` in the layout of the task."""
        ...


class Constant:
    """The same answer for everyone.

    Args:
        task: an entity task.
        statistic: of the training values: ``mean`` and ``median`` are of each frame; ``share`` is that of the true
            examples or of each class, as a probability.
        classes: number of classes, C, of tasks that have any.
    """

    def __init__(self, task: TaskSpec, statistic: Statistic, classes: int = 0) -> None:
        self.task = task
        self.statistic = statistic
        self.classes = classes
        self.answer: Array = np.zeros(0, np.float32)

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
        elif self.task is MULTICLASS_CLASSIFICATION:
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
        task: an entity task.
        classes: number of classes, C, of tasks that have any.
    """

    def __init__(self, task: TaskSpec, classes: int = 0) -> None:
        self.task = task
        self.otherwise = Constant(task, _plain_statistic(task), classes)

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
        if self.task is MULTICLASS_CLASSIFICATION:
            known = past[:, 0] >= 0  # neither NaN nor a class that training never saw
            last = past[:, :1] == np.arange(usual.shape[1])
            return np.where(known[:, None], OWN * last + (1 - OWN) * usual, usual).astype(np.float32)
        if self.task in (REGRESSION, FORECASTING):
            return np.where(np.isnan(past), usual, past).astype(np.float32)
        return np.where(np.isnan(past), usual, OWN * past + (1 - OWN) * usual).astype(np.float32)


def simple_baselines(task: TaskSpec, classes: int = 0) -> dict[str, TaskBaseline]:
    """Name to baseline, not yet fitted: the own past, and the constants that fit the task.

    Args:
        task: an entity task.
        classes: number of classes, C, of tasks that have any.

    Raises:
        DataError: a link task.
    """
    if task not in _CONSTANTS:
        raise DataError(f"{task} gives no values to entities: it has baselines of its own")
    constants = {name: Constant(task, statistic, classes) for name, statistic in _CONSTANTS[task].items()}
    return {"own_past": OwnPast(task, classes), **constants}


def _plain_statistic(task: TaskSpec) -> Statistic:
    return "mean" if task in (REGRESSION, FORECASTING) else "share"


_CONSTANTS: Final[dict[TaskSpec, dict[str, Statistic]]] = {
    BINARY_CLASSIFICATION: {"base_rate": "share"},
    REGRESSION: {"global_mean": "mean", "global_median": "median"},
    FORECASTING: {"global_mean": "mean", "global_median": "median"},
    MULTICLASS_CLASSIFICATION: {"majority": "share"},
    MULTILABEL_CLASSIFICATION: {"popularity": "share"},
}
