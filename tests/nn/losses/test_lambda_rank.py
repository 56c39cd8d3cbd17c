"""The pairwise loss weighs each pair by what swapping it does to NDCG, found by swapping."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnscale.nn.losses.lambda_rank import lambda_rank_loss

items = st.tuples(st.floats(-5, 5), st.booleans())
lists = st.lists(st.lists(items, max_size=7, unique_by=lambda item: item[0]), min_size=1, max_size=4)


def ndcg(relevant: list[bool]) -> float:
    """Of relevance in the order of a ranking."""
    gain = sum(1 / math.log2(place + 2) for place, hit in enumerate(relevant) if hit)
    return gain / sum(1 / math.log2(place + 2) for place in range(sum(relevant)))


def by_hand(ranked: list[tuple[float, bool]], depth: int) -> float:
    """The loss of one list, every pair swapped in turn."""
    ranked = sorted(ranked, key=lambda item: -item[0])
    relevant = [hit for _, hit in ranked]
    loss = 0.0
    for i, (score, hit) in enumerate(ranked):
        for j, (other, other_hit) in enumerate(ranked):
            if hit and not other_hit and min(i, j) < depth:
                swapped = list(relevant)
                swapped[i], swapped[j] = swapped[j], swapped[i]
                loss += abs(ndcg(relevant) - ndcg(swapped)) * math.log1p(math.exp(other - score))
    return loss


def flat(lists: list[list[tuple[float, bool]]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rows = [(score, i, hit) for i, own in enumerate(lists) for score, hit in own]
    return (
        torch.tensor([row[0] for row in rows], dtype=torch.float64),
        torch.tensor([row[1] for row in rows], dtype=torch.int64),
        torch.tensor([row[2] for row in rows], dtype=torch.bool),
    )


@given(lists, st.integers(1, 8))
def test_the_loss_equals_swapping_every_pair(lists, depth):
    found = lambda_rank_loss(*flat(lists), len(lists), depth)
    expected = sum(by_hand(own, depth) for own in lists if any(hit for _, hit in own))
    assert float(found) == pytest.approx(expected, abs=1e-9)


def test_lists_do_not_touch_each_other():
    one, other = [(0.3, True), (1.0, False)], [(0.1, False), (0.2, True), (5.0, False)]
    both = lambda_rank_loss(*flat([one, [], other]), 3, 10)
    alone = lambda_rank_loss(*flat([one]), 1, 10) + lambda_rank_loss(*flat([other]), 1, 10)
    torch.testing.assert_close(both, alone)


def test_its_gradient_lifts_positives_and_lowers_negatives():
    scores, index, positive = flat([[(float(s), hit) for s, hit in zip(range(6), [1, 0, 1, 0, 0, 1], strict=True)]])
    scores.requires_grad_()
    lambda_rank_loss(scores, index, positive, 1, 10).backward()
    assert (scores.grad[positive] < 0).all() and (scores.grad[~positive] > 0).all()
    assert float(scores.grad.sum()) == pytest.approx(0)


def test_following_the_gradient_gives_the_best_order():
    rng = np.random.default_rng(0)
    positive = torch.from_numpy(rng.random(20) < 0.3)
    scores = torch.from_numpy(rng.normal(size=20)).requires_grad_()
    index = torch.zeros(20, dtype=torch.int64)
    for _ in range(100):
        scores.grad = None
        lambda_rank_loss(scores, index, positive, 1, 20).backward()
        with torch.no_grad():
            scores -= scores.grad
    assert scores[positive].min() > scores[~positive].max()
