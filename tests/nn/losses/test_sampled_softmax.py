"""The sampled softmax is worked by hand, and stands for the one over all targets."""

import math

import numpy as np
import pytest
import torch

from gnnscale.nn.losses.sampled_softmax_loss import sampled_softmax


def test_it_is_worked_by_hand():
    # Two draws of chances 1/2 and 1/4 are expected once and half a time.
    positive, negative = torch.tensor([1.0, 0.0]), torch.tensor([[0.0, 2.0], [3.0, 0.0]])
    present = torch.tensor([[True, True], [False, True]])
    log_share = torch.log(torch.tensor([0.5, 0.25]))
    first = math.log(math.e + 1 / 1 + math.exp(2) / 0.5) - 1
    second = math.log(1 + 1 / 0.5)
    found = sampled_softmax(positive, negative, present, log_share)
    assert float(found) == pytest.approx(first + second, rel=1e-6)
    each = sampled_softmax(positive, negative, present, log_share.expand(2, 2))
    assert float(each) == pytest.approx(first + second, rel=1e-6)


def test_without_negatives_nothing_is_lost():
    none = torch.zeros(3, 2, dtype=torch.bool)
    assert float(sampled_softmax(torch.tensor([1.0, 2.0, 3.0]), torch.ones(3, 2), none, torch.zeros(2))) == 0


def test_many_draws_come_near_the_softmax_over_all_targets():
    rng = np.random.default_rng(0)
    scores, share = rng.normal(size=50), rng.dirichlet(np.ones(50))
    drawn = rng.choice(50, 200_000, p=share)
    whole = math.log(np.exp(scores).sum() + math.exp(0.3)) - 0.3
    negative = torch.from_numpy(scores[drawn]).unsqueeze(0)
    found = sampled_softmax(
        torch.tensor([0.3]),
        negative,
        torch.ones_like(negative, dtype=torch.bool),
        torch.from_numpy(np.log(share[drawn])),
    )
    assert float(found) == pytest.approx(whole, rel=0.02)
