"""A listener of the training loop that keeps all that it is told."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any


class RecordingCallback:
    """Keeps figures of steps, and every checkpoint that the loop hands out.

    Attributes:
        steps: figures of every step.
        within: checkpoints within epochs.
        checkpoints: those at the ends of epochs.
    """

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []
        self.within: list[dict[str, Any]] = []
        self.checkpoints: list[dict[str, Any]] = []

    def on_step(self, figures: Mapping[str, float]) -> None:
        """Kept."""
        self.steps.append(dict(figures))

    def on_checkpoint(self, figures: Mapping[str, float], checkpoint: Mapping[str, Any]) -> None:
        """A copy is kept."""
        self.within.append(copy.deepcopy(dict(checkpoint)))

    def on_validation(self, figures: Mapping[str, float], checkpoint: Mapping[str, Any]) -> None:
        """A copy is kept."""
        self.checkpoints.append(copy.deepcopy(dict(checkpoint)))
