"""What collaborative embeddings are trained by: from the vectors of users and items to a loss over seen pairs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from gnnscale.nn import take_rows


@dataclass(frozen=True, eq=False)
class PairBatch:
    """Seen pairs of some users, grouped by user.

    Args:
        users: distinct rows, ``[U]``.
        user_of_pair: place in ``users``, ``[P]``.
        items: of the pairs, ``[P]``.
        drawn: items drawn with equal chances, ``[N]``, the same for all, or ``[P, N]``.
    """

    users: Tensor
    user_of_pair: Tensor
    items: Tensor
    drawn: Tensor


@dataclass(frozen=True)
class LossOptions:
    """What losses go by.

    Args:
        temperature: divides the inner products of a softmax.
        margin: what the cosine of a negative may be for nothing.
        negative_weight: what negatives count beside the positive.
    """

    temperature: float
    margin: float
    negative_weight: float


def bpr(users: Tensor, items: Tensor, batch: PairBatch, options: LossOptions) -> Tensor:
    """``-log sigmoid(positive - negative)`` of one drawn item a pair (Rendle et al., 2009)."""
    own = take_rows(users, batch.users.index_select(0, batch.user_of_pair))
    gap = (own * (take_rows(items, batch.items) - take_rows(items, batch.drawn[:, 0]))).sum(1)
    return functional.softplus(-gap).sum()


def sampled_softmax(users: Tensor, items: Tensor, batch: PairBatch, options: LossOptions) -> Tensor:
    """Softmax of inner products over each positive and the drawn items, which stand for all (Wu et al., 2022)."""
    own = take_rows(users, batch.users)
    positive = (take_rows(own, batch.user_of_pair) * take_rows(items, batch.items)).sum(1) / options.temperature
    # Each drawn item stands for so many.
    many = math.log(len(items) / len(batch.drawn))
    against = torch.logsumexp(own @ take_rows(items, batch.drawn).T / options.temperature, dim=1) + many  # [U]
    return functional.softplus(take_rows(against, batch.user_of_pair) - positive).sum()


def softmax(users: Tensor, items: Tensor, batch: PairBatch, options: LossOptions) -> Tensor:
    """Softmax of inner products over all items."""
    own = take_rows(users, batch.users)
    total = torch.logsumexp(own @ items.T / options.temperature, dim=1)  # [U]
    positive = (take_rows(own, batch.user_of_pair) * take_rows(items, batch.items)).sum(1) / options.temperature
    return (take_rows(total, batch.user_of_pair) - positive).sum()


def cosine_contrastive(users: Tensor, items: Tensor, batch: PairBatch, options: LossOptions) -> Tensor:
    """``1 - positive + w mean(max(0, negative - margin))`` of cosines: CCL of SimpleX (Mao et al., 2021, eq. 1)."""
    own, unit = functional.normalize(take_rows(users, batch.users), dim=1), functional.normalize(items, dim=1)
    positive = (take_rows(own, batch.user_of_pair) * take_rows(unit, batch.items)).sum(1)
    against = functional.relu(own @ take_rows(unit, batch.drawn).T - options.margin).mean(1)  # [U]
    return (1 - positive + options.negative_weight * take_rows(against, batch.user_of_pair)).sum()


LOSSES: Final[dict[str, Callable[[Tensor, Tensor, PairBatch, LossOptions], Tensor]]] = {
    "bpr": bpr,
    "sampled_softmax": sampled_softmax,
    "softmax": softmax,
    "cosine_contrastive": cosine_contrastive,
}
"""By the names of configuration."""
