"""How often each target is among the positives of a batch, estimated as batches come."""

from __future__ import annotations

import torch
from torch import Tensor, nn

RATE = 0.01
"""Weight of a batch in the running mean."""


class TargetShare(nn.Module):
    """A running mean of each target's share of a batch's positives (Yi et al., RecSys 2019, count it by gaps between
    batches; shares don't saturate where a target comes several times a batch).

    The estimate is part of the weights, so that a training which resumes goes on with it, and follows from global
    batches alone, so that it is the same on every process.

    Args:
        targets: their number.

    Attributes:
        share: float32 ``[targets]``.
        weight: of all batches in it, float32.
        latest: number of the step that was counted last, int64.
    """

    share: Tensor
    weight: Tensor
    latest: Tensor

    def __init__(self, targets: int) -> None:
        super().__init__()
        self.register_buffer("share", torch.zeros(targets))
        self.register_buffer("weight", torch.zeros(()))
        self.register_buffer("latest", torch.full((), -1))

    @torch.no_grad()
    def count(self, nodes: Tensor, step: int) -> None:
        """Take the positives of a global batch in, int64 ``[positives]``; the parts of a step count once."""
        if step == int(self.latest) or not len(nodes):
            return
        self.latest.fill_(step)
        found = torch.bincount(nodes, minlength=len(self.share)).to(self.share.dtype) / len(nodes)
        self.share.lerp_(found, RATE)
        self.weight.lerp_(torch.ones_like(self.weight), RATE)

    @torch.no_grad()
    def forward(self, nodes: Tensor) -> Tensor:
        """The share of some targets, ``[nodes]``; of one that did not come yet, less than of any that did."""
        least = 0.1 / max(1, len(self.share)) * RATE
        found = self.share[nodes] / self.weight.clamp(min=RATE)
        return found.clamp(min=least)
