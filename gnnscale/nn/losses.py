"""The training objective of the two-branch network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gnnscale.loading import PairBatch
from gnnscale.nn.segments import segment_logsumexp
from gnnscale.nn.two_branch import Scores


@dataclass(frozen=True)
class PairLoss:
    """Sums over the batch's examples: divide by the global number of examples for the objective.

    Args:
        pair: softmax over an example's own candidates.
        fused: softmax over all targets, sampled.
    """

    pair: Tensor
    fused: Tensor

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        return self.pair + self.fused


def pair_loss(scores: Scores, batch: PairBatch, log_share: Tensor) -> PairLoss:
    """Cross-entropy of softmax distributions to the targets that came true.

    Sampled negatives stand for all targets outside the neighborhood: their scores are corrected by the logarithm of
    how often each is expected among the samples (Bengio and Senecal, 2008). Both parts take the mean over an
    example's positives.

    Args:
        scores: of the batch.
        batch: with negatives.
        log_share: log probability that one draw takes each negative, ``[negatives]``.
    """
    examples, index, positive = len(batch), batch.example, batch.is_positive
    inside = segment_logsumexp(scores.pair, index, examples)
    own = torch.zeros_like(batch.positives).index_add(0, index, positive.to(batch.positives.dtype))
    pair = ((inside[index] - scores.pair)[positive] / own[index[positive]]).sum()

    expected = log_share + torch.log(torch.tensor(float(len(batch.negatives)), device=log_share.device))
    negatives = scores.entity @ scores.target[batch.negative_target].T - expected
    negatives = negatives.masked_fill(batch.known, -1e9)
    everything = segment_logsumexp(scores.local, index, examples, negatives)
    repeat = ((everything[index] - scores.local)[positive] / batch.positives[index[positive]]).sum()
    where = batch.explore_example
    reached = (scores.entity[where] * scores.target[batch.explore_target]).sum(1)
    explore = ((torch.logaddexp(everything[where], reached) - reached) / batch.positives[where]).sum()
    return PairLoss(pair, repeat + explore)
