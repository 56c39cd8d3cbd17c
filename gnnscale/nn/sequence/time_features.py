"""Times between actions at fixed periods."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class TimeFeatures(nn.Module):
    """Sine and cosine of a time at fixed periods, and its logarithm (Pancha et al., KDD 2022: section 3.2).

    Args:
        periods: in days.
    """

    frequency: Tensor

    def __init__(self, periods: Sequence[float]) -> None:
        super().__init__()
        frequency = torch.tensor([2 * math.pi / period for period in periods])
        self.register_buffer("frequency", frequency, persistent=False)
        self.channels = 2 * len(periods) + 1

    def forward(self, days: Tensor) -> Tensor:
        """Days ``[...]`` -> ``[..., channels]``."""
        phase = days.unsqueeze(-1) * self.frequency
        # In seconds, so that what is within a minute differs.
        logarithm = 0.1 * torch.log1p(86_400 * days.clamp(min=0)).unsqueeze(-1)
        return torch.cat([torch.sin(phase), torch.cos(phase), logarithm], dim=-1)
