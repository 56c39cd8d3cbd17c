"""Objectives of the entity tasks, and their outputs as predictions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from gnnscale.nn.target_transform import TargetTransform
from gnnscale.query import TaskSpec
from gnnscale.schema import ConfigError

FOCUS = 2.0
"""Exponent of the focal loss."""

ValueLoss = Callable[[Tensor, Tensor, TargetTransform], Tensor]


def l1(outputs: Tensor, values: Tensor, space: TargetTransform) -> Tensor:
    """Distance in units of the values' own spread; its optimum is the median."""
    return (space.decode(outputs) - values).abs() / space.scale


def huber(outputs: Tensor, values: Tensor, space: TargetTransform) -> Tensor:
    """Squared up to one unit of the values' spread, then as :func:`l1`: between the median and the mean."""
    return functional.huber_loss(space.decode(outputs) / space.scale, values / space.scale, reduction="none")


def l2(outputs: Tensor, values: Tensor, space: TargetTransform) -> Tensor:
    """Squared distance in units of the values' spread; its optimum is the mean."""
    return ((space.decode(outputs) - values) / space.scale) ** 2


def bce(outputs: Tensor, values: Tensor) -> Tensor:
    """Binary cross-entropy of logits."""
    return functional.binary_cross_entropy_with_logits(outputs, values, reduction="none")


def focal(outputs: Tensor, values: Tensor) -> Tensor:
    """Binary cross-entropy that looks away from what is easy (Lin et al., 2017): ``(1 - p)^2`` times it."""
    plain = bce(outputs, values)
    return plain * (1 - torch.exp(-plain)) ** FOCUS


def cross_entropy(outputs: Tensor, values: Tensor) -> Tensor:
    """Of logits ``[examples, classes]`` and class indices ``[examples, 1]``; classes under 0 count nothing."""
    known = values[:, 0] >= 0
    index = torch.where(known, values[:, 0], 0).long()
    return functional.cross_entropy(outputs, index, reduction="none").unsqueeze(1) * known.unsqueeze(1)


VALUE_LOSSES: dict[str, ValueLoss] = {"l1": l1, "l2": l2, "huber": huber}
BINARY_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"bce": bce, "focal": focal}


class EntityObjective:
    """What is minimised, and how outputs are read.

    Args:
        task: an entity task.
        space: of the values; regression and forecasting alone have one.
        loss: by name, or ``auto``.

    Raises:
        ConfigError: the loss does not fit the task.
    """

    def __init__(self, task: TaskSpec, space: TargetTransform, loss: str = "auto") -> None:
        allowed = task.losses
        if loss != "auto" and loss not in allowed:
            raise ConfigError(f"training.loss={loss} does not fit {task}; allowed are auto, {', '.join(allowed)}")
        self.task, self.space = task, space
        self.name = allowed[0] if loss == "auto" else loss

    def loss(self, outputs: Tensor, values: Tensor) -> Tensor:
        """Sum over the examples of each one's mean over its outputs; labels that are NaN count nothing.

        Args:
            outputs: of the network, ``[examples, scores]``.
            values: labels, ``[examples, labels]``.
        """
        known = ~torch.isnan(values)
        filled = torch.where(known, values, 0.0)
        if self.name in VALUE_LOSSES:
            terms = VALUE_LOSSES[self.name](outputs, filled, self.space)
        elif self.name in BINARY_LOSSES:
            terms = BINARY_LOSSES[self.name](outputs, filled)
        else:
            terms = cross_entropy(outputs, filled)
        return (terms * known).sum() / values.shape[1]

    def predict(self, outputs: Tensor) -> Tensor:
        """Probabilities or values, ``[examples, scores]``."""
        if self.task.head == "softmax":
            return outputs.softmax(dim=1)
        return outputs.sigmoid() if self.task.head == "sigmoid" else self.space.bounded(self.space.decode(outputs))
