"""Losses of logits of which one of some classes is the true one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from gnnscale.nn.losses.loss import NodeLoss
from gnnscale.nn.target_transform import TargetTransform
from gnnscale.schema import LOSSES


@LOSSES.register("cross_entropy")
class CrossEntropy(NodeLoss):
    """Of logits ``[examples, classes]`` and class indices ``[examples, 1]``; classes under 0 count nothing."""

    heads = ("softmax",)

    def terms(self, outputs: Tensor, values: Tensor, transform: TargetTransform) -> Tensor:
        """As in :meth:`NodeLoss.terms`."""
        known = values[:, 0] >= 0
        index = torch.where(known, values[:, 0], 0).long()
        return functional.cross_entropy(outputs, index, reduction="none").unsqueeze(1) * known.unsqueeze(1)
