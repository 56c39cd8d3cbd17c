"""What the training loop tells while it works."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Callback(Protocol):
    """Hears of progress; called on every rank."""

    def on_step(self, figures: Mapping[str, float]) -> None:
        """After each optimization step: epoch, step, steps, loss, workers; the loss is NaN but every some steps, which
        also tell the figures of :class:`gnnscale.training.throughput.Throughput`."""

    def on_checkpoint(self, figures: Mapping[str, float], checkpoint: Mapping[str, Any]) -> None:
        """Within an epoch, with the state to resume from; its tensors change with the next step."""

    def on_validation(self, figures: Mapping[str, float], checkpoint: Mapping[str, Any]) -> None:
        """After each validation, with the state to resume from; its tensors change with the next step."""


class NoOpCallback:
    """A callback that does nothing."""

    def on_step(self, figures: Mapping[str, float]) -> None:
        """Nothing."""

    def on_checkpoint(self, figures: Mapping[str, float], checkpoint: Mapping[str, Any]) -> None:
        """Nothing."""

    def on_validation(self, figures: Mapping[str, float], checkpoint: Mapping[str, Any]) -> None:
        """Nothing."""
