"""What a target is at an anchor: its columns, itself, and its latest events by anyone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnnscale.batches import TargetBatch

SLOT = 2
EMPTY_AGE = 2.0
"""Scaled log age of an empty slot: some two years."""


class DemandEncoder(nn.Module):
    """One hop from a target to its latest events: how much, and how lately, it is in demand.

    The slots are in order of time, so the age in each tells how many events the target has had since; two layers over
    all slots read that off.

    Args:
        fanout: slots a target.
        channels: of the output.
    """

    def __init__(self, fanout: int, channels: int) -> None:
        super().__init__()
        self.slots = nn.Sequential(nn.Linear(SLOT * fanout, 48), nn.GELU(), nn.Linear(48, channels), nn.GELU())

    def forward(self, batch: TargetBatch) -> Tensor:
        """Targets to ``[targets, channels]``."""
        # [SLOT, targets, fanout]
        slots = batch.event_age.new_zeros(SLOT, *batch.present.shape)
        slots[0] = EMPTY_AGE
        slots[0][batch.present] = 0.3 * torch.log(batch.event_age + 0.05)
        slots[1] = batch.present
        return self.slots(slots.permute(1, 0, 2).flatten(1))
