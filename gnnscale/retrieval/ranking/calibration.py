"""Scores of lists as probabilities, by a curve that rises with the score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit


@dataclass(frozen=True)
class Calibration:
    """What a score says of the chance that a target comes true.

    Args:
        method: ``isotonic``: straight lines between points; ``platt``: ``1 / (1 + exp(-(scale * score + shift)))``.
        points: scores of the points, ascending; of ``platt`` scale (0 or more) and shift.
        values: probabilities at the points, ascending; of ``platt`` none.
        least: probability of a row that is given at least.
    """

    method: Literal["isotonic", "platt"]
    points: tuple[float, ...]
    values: tuple[float, ...] = ()
    least: float = 0.0

    def probabilities(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of scores of any shape; 0 of -inf."""
        known = np.where(np.isfinite(scores), scores, 0).astype(np.float64)
        if self.method == "platt":
            scale, shift = self.points
            found = expit(scale * known + shift)
        else:
            found = np.interp(known, self.points, self.values)
        return np.where(np.isfinite(scores), found, 0).astype(np.float32)

    def kept(self, targets: NDArray[np.int64], scores: NDArray[np.float32]) -> NDArray[np.int64]:
        """Targets of lists, -1 in the place of those whose probability is too low."""
        return np.where(self.probabilities(scores) >= self.least, targets, -1)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of ``dataclasses.asdict``, also of what JSON made of it."""
        return cls(**{**data, "points": tuple(data["points"]), "values": tuple(data["values"])})
