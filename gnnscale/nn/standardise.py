"""Inputs of a head on one scale, by figures taken once before training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

FARTHEST = 8.0
"""Deviations from the mean past which an input is cut off."""
PIECES = 8


class Standardise(nn.Module):
    """Centres and scales each column by the mean and deviation of a sample.

    Unlike a normalisation of each example, it keeps an example's level, which is what counts where inputs are
    logarithms of sums.

    Args:
        channels: columns.
    """

    center: Tensor
    spread: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(channels))
        self.register_buffer("spread", torch.ones(channels))

    @torch.no_grad()
    def fit(self, sample: Tensor) -> None:
        """Take the figures from ``[examples, channels]``."""
        spread = sample.std(dim=0, unbiased=False)
        self.center.copy_(sample.mean(dim=0))
        # What does not vary in the sample says nothing about its scale.
        self.spread.copy_(torch.where(spread > 1e-4, spread, 1.0))

    def forward(self, values: Tensor) -> Tensor:
        """``[examples, channels]`` to the same shape."""
        return ((values - self.center) / self.spread).clamp(-FARTHEST, FARTHEST)


class PiecewiseLinearEncoding(nn.Module):
    """Piecewise-linear encoding of numbers (Gorishniy et al., NeurIPS 2022).

    The quantiles of a sample cut each column's range into pieces, and a number is encoded by how much of each piece
    lies below it: thresholds, which trees find easily, become linear.

    Args:
        channels: columns.
    """

    cuts: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("cuts", torch.zeros(PIECES + 1, channels))
        self.channels = PIECES * channels

    @torch.no_grad()
    def fit(self, sample: Tensor) -> None:
        """Take the quantiles of ``[examples, channels]``; there may be no channel."""
        if not sample.shape[1]:
            return
        self.cuts.copy_(torch.quantile(sample, torch.linspace(0, 1, PIECES + 1, device=sample.device), dim=0))

    def forward(self, values: Tensor) -> Tensor:
        """``[examples, channels]`` -> ``[examples, PIECES * channels]``, each from -1/2 to 1/2."""
        low, width = self.cuts[:-1], self.cuts[1:] - self.cuts[:-1]
        share = ((values.unsqueeze(1) - low) / width.clamp(min=1e-6)).clamp(0, 1)
        # A value that many examples share makes pieces without width, which tell nothing.
        return (share - 0.5).masked_fill(width <= 1e-6, 0.0).flatten(1)
