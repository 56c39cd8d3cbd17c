"""Softmax over all targets, without sampling."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gnnscale.nn.losses.loss import LinkLoss
from gnnscale.nn.sequence.sequence_towers import PositionVectors
from gnnscale.schema import LOSSES

CELLS = 1 << 19
"""Scores that are held at once: 2 MB, which stay in a core's cache."""


class _SoftmaxSum(torch.autograd.Function):
    """Sum of cross-entropies of inner products; gradients are computed with the values, a few rows at a time.

    All scores of a batch of sequences would be gigabytes, written and read several times.
    """

    @staticmethod
    def forward(ctx: Any, own: Tensor, targets: Tensor, positives: Tensor) -> Tensor:
        """``[rows, channels]``, ``[targets, channels]``, int64 ``[rows]`` -> a number."""
        by_own, by_targets = torch.empty_like(own), torch.zeros_like(targets)
        total = own.new_zeros((), dtype=torch.float64)
        rows = max(1, CELLS // max(1, len(targets)))
        for part, right, gradient in zip(own.split(rows), positives.split(rows), by_own.split(rows), strict=True):
            scores = part @ targets.T
            scores -= scores.amax(dim=1, keepdim=True)
            column = right.unsqueeze(1)
            total -= scores.gather(1, column).sum()
            scores.exp_()
            sums = scores.sum(dim=1, keepdim=True)
            total += sums.log().sum()
            scores /= sums
            scores.scatter_add_(1, column, scores.new_full(column.shape, -1.0))
            torch.mm(scores, targets, out=gradient)
            by_targets.addmm_(scores.T, part)
        ctx.save_for_backward(by_own, by_targets)
        return total.to(own.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        """Times what the sum's own gradient is."""
        by_own, by_targets = ctx.saved_tensors
        return by_own * gradients[0], by_targets * gradients[0], None


def softmax_sum(own: Tensor, targets: Tensor, positives: Tensor) -> Tensor:
    """Sum over rows of ``-log softmax`` of each one's positive among all targets.

    Args:
        own: ``[rows, channels]``.
        targets: of all, ``[targets, channels]``.
        positives: int64 ``[rows]``.
    """
    total: Tensor = _SoftmaxSum.apply(own.float().contiguous(), targets.float().contiguous(), positives)
    return total


@LOSSES.register("softmax")
class FullSoftmaxLoss(LinkLoss):
    """:func:`softmax_sum` over the whole catalogue."""

    outputs = PositionVectors
    one_positive = True
    all_targets = True

    def total(self, outputs: PositionVectors, inputs: Any, present: Tensor, log_share: Tensor) -> Tensor:
        """As in :meth:`LinkLoss.total`; targets are all there are, in their order."""
        return softmax_sum(*outputs, inputs.positives)
