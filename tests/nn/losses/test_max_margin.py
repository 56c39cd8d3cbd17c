"""The max-margin and the BPR loss by hand."""

import numpy as np
import pytest
import torch

from gnnscale.nn import TowerVectors
from gnnscale.nn.losses.bpr_loss import PairwiseRankingLoss
from gnnscale.nn.losses.max_margin_loss import MarginOptions, MaxMarginLoss


def vectors(*angles: float) -> torch.Tensor:
    return torch.tensor([[np.cos(a), np.sin(a)] for a in angles])


@pytest.mark.parametrize("shared", [True, False])
def test_what_is_short_of_the_margin_counts(shared):
    entity, positive, negative = vectors(0.0, 1.0), vectors(0.2, 2.0), vectors(0.1, 1.5, 3.0)
    present = torch.tensor([[True, True, False], [True, True, True]])
    expected = 0.0
    for b, there in enumerate(present.tolist()):
        own = float(entity[b] @ positive[b])
        terms = [max(0.0, float(entity[b] @ n) - own + 0.3) for n, here in zip(negative, there, strict=True) if here]
        expected += sum(terms) / len(terms)
    every = negative if shared else torch.cat([negative, negative])
    share = torch.zeros(3) if shared else torch.zeros(2, 3)
    loss = MaxMarginLoss(MarginOptions(margin=0.3))
    found = loss.total(TowerVectors(entity, torch.cat([positive, every])), None, present, share)
    assert float(found) == pytest.approx(expected, rel=1e-5) and expected > 0


def test_nothing_is_lost_where_all_are_far_or_absent():
    entity, positive = vectors(0.0), vectors(0.0)
    outputs = TowerVectors(entity.requires_grad_(), torch.cat([positive, vectors(3.0, 0.0)]))
    present = torch.tensor([[True, False]])
    for there in (present, torch.zeros_like(present)):
        total = MaxMarginLoss().total(outputs, None, there, torch.zeros(2))
        assert float(total) == 0 and not torch.autograd.grad(total, entity, retain_graph=True)[0].any()


@pytest.mark.parametrize("shared", [True, False])
def test_every_negative_counts_by_how_near_it_is(shared):
    entity, positive, negative = vectors(0.0, 1.0), vectors(0.2, 2.0), vectors(0.1, 1.5, 3.0)
    present = torch.tensor([[True, True, False], [False, False, False]])
    gaps = [float(entity[0] @ n) - float(entity[0] @ positive[0]) for n in negative[:2]]
    expected = sum(-np.log(1 / (1 + np.exp(gap))) for gap in gaps) / 2
    every = negative if shared else torch.cat([negative, negative])
    share = torch.zeros(3) if shared else torch.zeros(2, 3)
    found = PairwiseRankingLoss().total(TowerVectors(entity, torch.cat([positive, every])), None, present, share)
    assert float(found) == pytest.approx(expected, rel=1e-5)
