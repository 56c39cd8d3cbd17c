"""What speaks for a target that an entity has had before."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gnnscale.batches import REPEAT_FIGURES, RepeatedTargets


class RepeatedScores(NamedTuple):
    """Scores of what entities have had.

    Args:
        scores: ``[asked, targets]``.
        had: which of them count, bool ``[asked, targets]``.
        rows: of the batch's items, int64 ``[asked, targets]``; their number where there is none.
    """

    scores: Tensor
    had: Tensor
    rows: Tensor


class _WeighedFigures(torch.autograd.Function):
    """Of each position and target, the inner product of its figures and the target's weights for the sequence.

    Figures need no gradient, and are by far the largest of what is here: autograd would keep and write several of
    their size.
    """

    @staticmethod
    def forward(ctx: Any, figures: Tensor, weights: Tensor, sequence: Tensor) -> Tensor:
        """``[asked, targets, figures]``, ``[batch, targets, figures]``, int64 ``[asked]`` -> ``[asked, targets]``."""
        ctx.save_for_backward(figures, sequence)
        ctx.shape = weights.shape
        return weights.index_select(0, sequence).mul_(figures).sum(-1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, None]:
        """Of the weights alone."""
        figures, sequence = ctx.saved_tensors
        found = figures.new_zeros(ctx.shape)
        return None, found.index_add_(0, sequence, gradients[0].unsqueeze(-1) * figures), None


class RepeatScores(nn.Module):
    """The logarithm of how much likelier a target is that was had before: a sum of logarithms of counts that decay,
    whose weights follow from the entity's state and from the target.

    Choosing between what was had and what is new by scores of their own, under one softmax, is after RepeatNet (Ren et
    al., AAAI 2019), which has a decoder for each.

    Args:
        hidden: width of states and of what targets are known by.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.by_state = nn.Linear(hidden, REPEAT_FIGURES + 1)
        self.by_target = nn.Linear(hidden, REPEAT_FIGURES + 1, bias=False)
        for linear in (self.by_state, self.by_target):
            nn.init.zeros_(linear.weight)
        nn.init.zeros_(self.by_state.bias)

    def forward(
        self, states: Tensor, described: Tensor, entity: Tensor, target: Tensor, of: RepeatedTargets, sequence: Tensor
    ) -> RepeatedScores:
        """Scores of all targets that were had.

        Args:
            states: of the asked positions, ``[asked, hidden]``.
            described: what the batch's targets are known by, ``[items, hidden]``.
            entity: vectors of the positions, ``[asked, channels]``.
            target: of the targets, ``[items, channels]``.
            of: which were had.
            sequence: of each position, ascending, int64 ``[asked]``.
        """
        rows = of.rows.clamp(max=max(0, len(target) - 1))
        # Positions of a sequence side by side, so that a target's vector is read once for all of them.
        first = torch.searchsorted(sequence, sequence)
        rank = torch.arange(len(sequence), device=sequence.device) - first
        most = int(rank.max()) + 1 if len(rank) else 0
        place = sequence * most + rank
        side = entity.new_zeros(len(rows) * most, entity.shape[1]).index_copy(0, place, entity)
        vectors = target.index_select(0, rows.reshape(-1)).view(*rows.shape, -1)
        products = torch.bmm(side.view(len(rows), most, -1), vectors.transpose(1, 2)).flatten(0, 1)
        logarithms = torch.log1p(of.figures)
        by_target = self.by_target(described).index_select(0, rows.reshape(-1)).view(*rows.shape, -1)
        by_state = self.by_state(states)
        bonus = torch.bmm(logarithms, by_state[:, 1:].unsqueeze(2)).squeeze(2) + by_state[:, :1]
        bonus = bonus + by_target[..., 0].index_select(0, sequence)
        bonus = bonus + _WeighedFigures.apply(logarithms, by_target[..., 1:], sequence)
        scores = products.index_select(0, place) + bonus
        return RepeatedScores(scores, of.had, of.rows.index_select(0, sequence))
