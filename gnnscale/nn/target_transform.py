"""The space that values are predicted in: centred, scaled, and logarithmic where they are skewed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SKEWED = 2.0
"""Skewness past which the logarithm is taken, as for features."""
LARGEST = 30.0
"""Bound of a logarithm before it is raised, so that nothing overflows."""


@dataclass(frozen=True)
class TargetTransform:
    """Statistics of the training split's values.

    Args:
        log: whether values are taken as sign(x) log(1 + |x| / scale).
        center, spread: mean and deviation in that space.
        scale: mean distance of a value from the median; errors count in it.
        low, high: bounds of a prediction: no lower than 0 where no value was, and no further out of the range of
            the values than a spread.
    """

    log: bool = False
    center: float = 0.0
    spread: float = 1.0
    scale: float = 1.0
    low: float = -np.inf
    high: float = np.inf

    @classmethod
    def fit(cls, values: NDArray[np.float32]) -> Self:
        """From the labels of the training split, of any shape; NaN is left out."""
        known = values[~np.isnan(values)].astype(np.float64)
        if not len(known):
            return cls()
        deviation = known - known.mean()
        scale = float(np.abs(known - np.median(known)).mean()) or 1.0
        log = float((deviation**3).mean()) > SKEWED * float((deviation**2).mean()) ** 1.5
        inner = np.sign(known) * np.log1p(np.abs(known) / scale) if log else known
        spread = float(inner.std()) or 1.0
        low, high = float(inner.min()) - spread, float(inner.max()) + spread
        outer = [np.sign(x) * scale * np.expm1(abs(x)) if log else x for x in (low, high)]
        return cls(
            log, float(inner.mean()), spread, scale, 0.0 if known.min() >= 0 else float(outer[0]), float(outer[1])
        )

    def decode(self, outputs: Tensor) -> Tensor:
        """Outputs of the network as values."""
        inner = outputs * self.spread + self.center
        return torch.sign(inner) * torch.expm1(inner.abs().clamp(max=LARGEST)) * self.scale if self.log else inner

    def encode(self, values: Tensor) -> Tensor:
        """Inverse of :meth:`decode`."""
        inner = torch.sign(values) * torch.log1p(values.abs() / self.scale) if self.log else values
        return (inner - self.center) / self.spread

    def bounded(self, values: Tensor) -> Tensor:
        """Values within the bounds."""
        return values.clamp(self.low, self.high)

    def to_dict(self) -> dict[str, Any]:
        """As data that a model file can hold."""
        return asdict(self)
