"""Learned encodings of how long ago something was."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

DECAYS = 12
FADED = 40.0
"""Time constants after which a decay fades no more: denormal numbers, soon after, take ten times as long to compute."""
WEEKLY = (7.0, 3.5, 14.0, 28.0)
"""Periods, in days, that the Fourier part starts from."""


class AgeEncoder(nn.Module):
    """Exponential decays of learned time constants, Fourier features of learned periods, and log age.

    Args:
        shortest, longest: time constants that the decays start from, in days, spread evenly in the logarithm.
        periods: that the Fourier features start from, in days.
    """

    def __init__(self, shortest: float = 0.5, longest: float = 400.0, periods: tuple[float, ...] = WEEKLY) -> None:
        super().__init__()
        self.log_constant = nn.Parameter(torch.linspace(math.log(shortest), math.log(longest), DECAYS))
        self.log_frequency = nn.Parameter(torch.tensor([math.log(2 * math.pi / period) for period in periods]))
        self.channels = DECAYS + 2 * len(periods) + 2

    def forward(self, age: Tensor) -> Tensor:
        """Days ``[...]`` -> ``[..., channels]``; the first ``DECAYS`` channels are the decays, in (0, 1]."""
        age = age.unsqueeze(-1)
        phase = age * torch.exp(self.log_frequency)
        logarithm = torch.log(age + 0.05)
        constants = (age * torch.exp(-self.log_constant)).clamp(max=FADED)
        parts = [torch.exp(-constants), torch.sin(phase), torch.cos(phase)]
        return torch.cat([*parts, 0.3 * logarithm, 0.05 * logarithm**2], dim=-1)
