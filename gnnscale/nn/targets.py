"""What a target is at an anchor: its columns, itself, and its latest events by anyone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnnscale.loading import TargetBatch
from gnnscale.nn.rows import RowEncoder
from gnnscale.schema import TableManifest

ROW_CHANNELS = 2
SLOT = ROW_CHANNELS + 2
EMPTY_AGE = 2.0
"""Scaled log age of an empty slot: some two years."""


class DemandEncoder(nn.Module):
    """One hop from a target to its latest events: how much, and how lately, it is in demand.

    The slots are in order of time, so the age in each tells how many events the target has had since; two layers
    over all slots read that off.

    Args:
        facts: the event table.
        fanout: slots a target.
        channels: of the output.
    """

    def __init__(self, facts: TableManifest, fanout: int, channels: int) -> None:
        super().__init__()
        self.rows = RowEncoder(facts, ROW_CHANNELS)
        self.slots = nn.Sequential(nn.Linear(SLOT * fanout, 48), nn.GELU(), nn.Linear(48, channels), nn.GELU())

    def forward(self, batch: TargetBatch) -> Tensor:
        """Targets to ``[targets, channels]``."""
        age = 0.3 * torch.log(batch.event_age + 0.05)
        filled = torch.cat([age.unsqueeze(1), self.rows(batch.event_features), torch.ones_like(age).unsqueeze(1)], 1)
        empty = torch.zeros(SLOT, device=age.device)
        empty[0] = EMPTY_AGE
        # [targets, fanout, SLOT]
        slots = empty.repeat(*batch.present.shape, 1)
        slots[batch.present] = filled
        return self.slots(slots.flatten(1))
