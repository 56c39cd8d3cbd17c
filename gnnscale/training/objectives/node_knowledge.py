"""What the training labels of a node-level task tell beside the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.batches import AnswerShape
from gnnscale.nn import TargetTransform
from gnnscale.query import find_task


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
        return cls(shape, TargetTransform.fit(values) if shape.task.predicts_values else TargetTransform(), yearly)

    def predict(self, outputs: Tensor) -> Tensor:
        """Outputs of the network ``[examples, scores]`` as probabilities or values, of the same shape."""
        if self.shape.task.head == "softmax":
            return outputs.softmax(dim=1)
        if self.shape.task.head == "sigmoid":
            return outputs.sigmoid()
        return self.space.bounded(self.space.decode(outputs))

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
        shape = AnswerShape(find_task(data["task"]), tuple(data["classes"]), data["frames"])
        return cls(shape, TargetTransform(**data["space"]), data["yearly"])
