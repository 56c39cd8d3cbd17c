"""The loss of the two-branch network."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gnnscale.batches import PairBatch
from gnnscale.nn.losses.lambda_rank import lambda_rank_loss
from gnnscale.nn.losses.loss import LinkLoss
from gnnscale.nn.segments import segment_logsumexp, take_rows
from gnnscale.nn.two_branch import Scores
from gnnscale.schema import LOSSES


@dataclass(frozen=True)
class PairLoss:
    """Sums over the batch's examples: divide by the global number of examples for the objective.

    Args:
        rank: LambdaRank over an example's own candidates.
        fused: softmax over all targets, sampled.
    """

    rank: Tensor
    fused: Tensor

    @property
    def total(self) -> Tensor:
        """What is minimized."""
        return self.rank + self.fused


def pair_loss(scores: Scores, batch: PairBatch, log_share: Tensor, depth: int) -> PairLoss:
    """Order the candidates of the pair branch, and put them and all other targets on one scale.

    The first part is :func:`gnnscale.nn.losses.lambda_rank.lambda_rank_loss`. The second is the cross-entropy of a
    softmax over all targets, the mean over an example's positives; sampled negatives stand for the targets outside the
    neighborhood, their scores corrected by the logarithm of how often each is expected among the samples (Bengio and
    Senecal, 2008).

    Args:
        scores: of the batch.
        batch: with negatives.
        log_share: log probability that one draw takes each negative, ``[negatives]``.
        depth: top ranks that count.
    """
    examples, index, positive = len(batch), batch.example, batch.is_positive
    rank = lambda_rank_loss(scores.pair, index, positive, examples, depth)
    expected = log_share + math.log(max(1, len(batch.negatives)))
    negatives = scores.entity @ take_rows(scores.target, batch.negative_target).T - expected
    negatives = negatives.masked_fill(batch.known, -1e9)
    everything = segment_logsumexp(scores.local, index, examples, negatives)
    repeat = ((take_rows(everything, index) - scores.local)[positive] / batch.positives[index[positive]]).sum()
    where = batch.explore_example
    reached = (take_rows(scores.entity, where) * take_rows(scores.target, batch.explore_target)).sum(1)
    explore = ((torch.logaddexp(take_rows(everything, where), reached) - reached) / batch.positives[where]).sum()
    return PairLoss(rank, repeat + explore)


@LOSSES.register("pair")
class PairRankingLoss(LinkLoss):
    """:func:`pair_loss`: LambdaRank of the candidates, and a softmax over all targets."""

    outputs = Scores
    one_positive = False

    def total(self, outputs: Scores, inputs: PairBatch, present: Tensor, log_share: Tensor) -> Tensor:
        """As in :meth:`LinkLoss.total`; which negatives are none the batch knows."""
        return pair_loss(outputs, inputs, log_share, self.rank_depth).total
