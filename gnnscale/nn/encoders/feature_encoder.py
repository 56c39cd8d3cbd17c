"""Point-in-time features, some of them unknown and most with long tails, as inputs of a head."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gnnscale.nn.standardise import Standardise

CUTS = 64
"""Quantiles of a sample that a feature's place is told by."""
MOST = 1e30
"""What is farther from 0 counts as this far."""


class FeatureEncoder(nn.Module):
    """Three numbers of each feature: its signed logarithm on one scale, its place among a sample, whether it is known.

    The place is the share of the sample's quantiles below a value, half of those that equal it counted, less a half: as
    trees do, it takes nothing from a feature but its order, and past the sample's range it stays at the range's end. Of
    what is unknown both numbers are 0.

    Weights that were learned from other features are refused.

    Args:
        names: of the features, one a column.

    Attributes:
        channels: that it returns of an example.
    """

    cuts: Tensor
    unknown: Tensor
    names: Tensor

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.channels = 3 * len(names)
        self.scale = Standardise(len(names))
        self.register_buffer("cuts", torch.zeros(len(names), CUTS))
        self.register_buffer("unknown", torch.zeros(len(names)))
        self.register_buffer("names", torch.tensor([zlib.crc32(name.encode()) for name in names], dtype=torch.int64))

    @torch.no_grad()
    def fit(self, sample: Tensor) -> None:
        """Take the figures from ``[examples, features]``, NaN where unknown; there may be no feature."""
        if not sample.shape[1]:
            return
        sample = sample.clamp(-MOST, MOST)
        known = ~sample.isnan()
        self.unknown.copy_(1 - known.float().mean(dim=0))
        shares = torch.linspace(0, 1, CUTS, device=sample.device)
        self.cuts.copy_(torch.nanquantile(sample, shares, dim=0).nan_to_num(0.0).T)
        # What is unknown stands at the mean of what is known, and adds nothing to how far values spread.
        logs = _signed_log(sample).nan_to_num(0.0)
        mean = logs.sum(dim=0) / known.sum(dim=0).clamp(min=1)
        self.scale.fit(torch.where(known, logs, mean))

    def forward(self, features: Tensor) -> Tensor:
        """``[examples, features]`` -> ``[examples, 3 * features]``."""
        features = features.clamp(-MOST, MOST)
        known = ~features.isnan()
        features = features.nan_to_num(0.0)
        columns = features.T.contiguous()
        below = torch.searchsorted(self.cuts, columns) + torch.searchsorted(self.cuts, columns, right=True)
        place = (below.T.to(features.dtype) / (2 * CUTS) - 0.5).masked_fill(~known, 0.0)
        level = self.scale(_signed_log(features)).masked_fill(~known, 0.0)
        return torch.cat([level, place, self.unknown - (~known).to(features.dtype)], dim=1)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        kept = state_dict.get(f"{prefix}names")
        if kept is not None and not torch.equal(kept.cpu(), self.names.cpu()):
            *_, errors = rest
            errors.append("its features are others than those that it has learned from")
            return
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _signed_log(values: Tensor) -> Tensor:
    return values.sign() * values.abs().log1p()
