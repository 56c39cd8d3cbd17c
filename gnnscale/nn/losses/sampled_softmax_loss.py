"""Softmax over all targets with sampled negatives in their place (Bengio and Senecal, 2008)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gnnscale.nn.block_model import TowerVectors
from gnnscale.nn.losses.loss import ScoredLoss
from gnnscale.schema import LOSSES


def sampled_softmax(positive: Tensor, negative: Tensor, present: Tensor, log_share: Tensor) -> Tensor:
    """Sum over examples of ``-log softmax`` of each one's positive among itself and its negatives.

    A negative's score is lowered by the log of how often it is expected among the sample, so that in the mean the
    sample stands for all targets.

    Args:
        positive: scores, ``[batch]``.
        negative: scores, ``[batch, negatives]``.
        present: which negatives count, bool ``[batch, negatives]``.
        log_share: log of the chance that one draw takes each, ``[negatives]`` or ``[batch, negatives]``.
    """
    corrected = negative.float() - (log_share + math.log(max(1, negative.shape[1])))
    corrected = corrected.masked_fill(~present, -torch.inf)
    own = positive.float()
    return (torch.logsumexp(torch.cat([own.unsqueeze(1), corrected], dim=1), dim=1) - own).sum()


@LOSSES.register("sampled_softmax")
class SampledSoftmaxLoss(ScoredLoss):
    """:func:`sampled_softmax` of the inner products of two towers."""

    outputs = TowerVectors
    one_positive = True

    def of_scores(self, own: Tensor, scores: Tensor, present: Tensor, log_share: Tensor) -> Tensor:
        """As in :meth:`ScoredLoss.of_scores`."""
        return sampled_softmax(own, scores, present, log_share)
