"""What the training labels of a node-level task tell beside the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.batches import AnswerShape
from gnnscale.nn import TargetTransform
from gnnscale.query import TaskType

HEADS = {
    TaskType.BINARY_CLASSIFICATION: "sigmoid",
    TaskType.MULTILABEL_CLASSIFICATION: "sigmoid",
    TaskType.MULTICLASS_CLASSIFICATION: "softmax",
    TaskType.REGRESSION: "identity",
    TaskType.FORECASTING: "identity",
}
LOSSES = {
    "sigmoid": ("bce", "focal"),
    "softmax": ("cross_entropy",),
    "identity": ("l1", "huber", "l2"),
}


@dataclass(frozen=True)
class NodeKnowledge:
    """What was learned from the training labels beside the weights.

    Args:
        shape: of the answers.
        space: that values are predicted in.
        yearly: whether the time of the year is an input.
    """

    shape: AnswerShape
    space: TargetTransform
    yearly: bool = False

    @classmethod
    def fit(cls, shape: AnswerShape, values: NDArray[np.float32], yearly: bool = False) -> Self:
        """From the labels of the training split, float32 ``[examples, labels]``."""
        numbers = HEADS[shape.task] == "identity"
        return cls(shape, TargetTransform.fit(values) if numbers else TargetTransform(), yearly)

    @property
    def head(self) -> str:
        """How outputs become predictions: ``identity``, ``sigmoid`` or ``softmax``."""
        return HEADS[self.shape.task]

    @property
    def losses(self) -> tuple[str, ...]:
        """Losses of the task, the default first."""
        return LOSSES[self.head]

    def predict(self, outputs: Tensor) -> Tensor:
        """Outputs of the network ``[examples, scores]`` as probabilities or values, of the same shape."""
        if self.head == "softmax":
            return outputs.softmax(dim=1)
        if self.head == "identity":
            return self.space.bounded(self.space.decode(outputs))
        return outputs.sigmoid()

    def to_dict(self) -> dict[str, Any]:
        """As data that a model file can hold."""
        return {
            "task": str(self.shape.task),
            "classes": list(self.shape.classes),
            "frames": self.shape.frames,
            "space": self.space.to_dict(),
            "yearly": self.yearly,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`."""
        shape = AnswerShape(TaskType(data["task"]), tuple(data["classes"]), data["frames"])
        return cls(shape, TargetTransform(**data["space"]), data["yearly"])
