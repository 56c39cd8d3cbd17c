"""Where a training process stands among its peers, and what it says while it works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class DistributedContext:
    """One of ``workers`` processes, numbered from 0, and its device."""

    rank: int = 0
    workers: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def total(self, values: Tensor) -> Tensor:
        """Sum of a tensor over all processes."""
        if self.workers > 1:
            dist.all_reduce(values)
        return values


class Callback(Protocol):
    """Hears of progress; called on every rank."""

    def on_step(self, figures: Mapping[str, float]) -> None:
        """After each optimisation step: epoch, step, steps, loss, workers; the loss is NaN but every some steps, which
        also tell the figures of :class:`gnnscale.training.throughput.Throughput`."""

    def on_checkpoint(self, figures: Mapping[str, float], checkpoint: Mapping[str, Any]) -> None:
        """Within an epoch, with the state to resume from; its tensors change with the next step."""

    def on_validation(self, figures: Mapping[str, float], checkpoint: Mapping[str, Any]) -> None:
        """After each validation, with the state to resume from; its tensors change with the next step."""


class NoOpCallback:
    """A listener that does nothing."""

    def on_step(self, figures: Mapping[str, float]) -> None:
        """Nothing."""

    def on_checkpoint(self, figures: Mapping[str, float], checkpoint: Mapping[str, Any]) -> None:
        """Nothing."""

    def on_validation(self, figures: Mapping[str, float], checkpoint: Mapping[str, Any]) -> None:
        """Nothing."""
