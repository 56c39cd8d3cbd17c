"""Where a training process stands in its group."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class DistributedContext:
    """One of ``workers`` processes, numbered from 0, its device, and how many of them are on its host."""

    rank: int = 0
    workers: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    host_workers: int = 1

    def total(self, values: Tensor) -> Tensor:
        """Sum of a tensor over all processes."""
        if self.workers > 1:
            dist.all_reduce(values)
        return values
