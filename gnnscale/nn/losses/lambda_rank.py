"""LambdaRank: a pairwise loss that weighs each pair by what swapping it would do to NDCG."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def lambda_rank_loss(scores: Tensor, index: Tensor, positive: Tensor, lists: int, depth: int) -> Tensor:
    """Sum over lists of |delta NDCG| log(1 + exp(s_negative - s_positive)), over (positive, negative) pairs.

    Burges, "From RankNet to LambdaRank to LambdaMART" (2010), section 4: the weight of a pair is the change in NDCG if
    the two swapped ranks in the list as it is ranked now; no gradient passes through it. Pairs with both ranks past
    ``depth`` are left out.

    Args:
        scores: ``[items]``.
        index: list of each item, int64 ``[items]``, ascending.
        positive: which items are relevant, bool ``[items]``.
        lists: number of lists.
        depth: top ranks that count.

    Returns:
        A scalar; lists without a positive or without a negative add nothing.
    """
    with torch.no_grad():
        left, right, weight = _pairs(scores, index, positive, lists, depth)
    return (weight * functional.softplus(scores[right] - scores[left])).sum()


def _pairs(scores: Tensor, index: Tensor, positive: Tensor, lists: int, depth: int) -> tuple[Tensor, Tensor, Tensor]:
    device = scores.device
    sizes = torch.bincount(index, minlength=lists)
    starts = torch.cumsum(sizes, 0) - sizes
    ranks = _ranks(scores, index, starts)
    discounts = 1 / torch.log2(ranks.to(scores.dtype) + 2)
    # DCG of the best order: as many leading ranks as there are positives.
    relevant = torch.bincount(index[positive], minlength=lists)
    leading = 1 / torch.log2(torch.arange(2, int(relevant.max()) + 3, device=device, dtype=scores.dtype))
    ideal = torch.cumsum(leading, 0)[(relevant - 1).clamp(min=0)]
    # Each positive with every item of its list: [positives, items of the list], flat.
    positives = positive.nonzero(as_tuple=True)[0]
    partners = sizes[index[positives]]
    left = torch.repeat_interleave(positives, partners)
    within = torch.arange(len(left), device=device)
    within = within - torch.repeat_interleave(torch.cumsum(partners, 0) - partners, partners)
    right = starts[index[left]] + within
    counts = ~positive[right] & ((ranks[left] < depth) | (ranks[right] < depth))
    left, right = left[counts], right[counts]
    return left, right, (discounts[left] - discounts[right]).abs() / ideal[index[left]]


def _ranks(scores: Tensor, index: Tensor, starts: Tensor) -> Tensor:
    """Rank of each item in its list by descending score, from 0; ties keep their order."""
    order = torch.argsort(scores, descending=True, stable=True)
    order = order[torch.argsort(index[order], stable=True)]
    ranks = torch.empty_like(index)
    ranks[order] = torch.arange(len(index), device=index.device) - starts[index[order]]
    return ranks
