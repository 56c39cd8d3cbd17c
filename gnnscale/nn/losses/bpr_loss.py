"""A positive has to score higher than each negative."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn.functional import softplus

from gnnscale.nn.block_model import TowerVectors
from gnnscale.nn.losses.loss import LinkLoss, tower_scores
from gnnscale.schema import LOSSES


@LOSSES.register("bpr")
class PairwiseRankingLoss(LinkLoss):
    """``mean over negatives of -log sigmoid(s+ - s-)``: BPR (Rendle et al., UAI 2009), whose negative is one.

    An example without negatives counts nothing. How likely a negative was drawn counts nothing either: the mean is
    over the law by which they are drawn.
    """

    outputs = TowerVectors
    one_positive = True

    def total(self, outputs: TowerVectors, inputs: Any, present: Tensor, log_share: Tensor) -> Tensor:
        """As in :meth:`LinkLoss.total`; targets are the positives, ``[batch]``, and then the negatives."""
        own, scores = tower_scores(*outputs, present, log_share)
        terms = softplus(scores - own.unsqueeze(1)) * present
        return (terms.sum(1) / present.sum(1).clamp(min=1)).sum()
