"""Training by one worker where no Ray is there: in this process, which is done before Ray has started another."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import torch

from gnnscale.config import Settings
from gnnscale.lake import Lake
from gnnscale.pipeline.open_graph import open_graph
from gnnscale.pipeline.workers.worker_count import count_workers
from gnnscale.pipeline.workers.worker_threads import share_cores
from gnnscale.schema import GnnscaleError
from gnnscale.training import DistributedContext, NoOpCallback, Trainer, TrainResult, build_task

Hear = Callable[[str, Mapping[str, float]], None]
"""Called with ``step`` or ``validation`` and the figures."""


def trains_alone(settings: Settings, lake: Lake) -> bool:
    """Whether one worker is enough, and no Ray is there that it could be on."""
    if settings.training.max_workers not in (None, 1) or "RAY_ADDRESS" in os.environ:
        return False
    # Who has a Ray has loaded it; nobody else has to wait for that.
    if "ray" in sys.modules and sys.modules["ray"].is_initialized():
        return False
    return count_workers(settings, lake, torch.cuda.device_count(), os.cpu_count() or 1) == 1


def train_alone(settings: Settings, hear: Hear) -> TrainResult:
    """Train the query of the configuration in this process.

    Args:
        settings: with graph and labels in its lake.
        hear: called with progress.

    Raises:
        GnnscaleError: a GPU is asked for and there is none, or training failed for a reason of the input's.
    """
    gpu = settings.training.gpu
    if gpu == "yes" and not torch.cuda.is_available():
        raise GnnscaleError("training.gpu=yes asks for a GPU, and there is none; set it to auto or no")
    device = torch.device("cuda" if gpu != "no" and torch.cuda.is_available() else "cpu")
    threads = torch.get_num_threads()
    settings = share_cores(settings, os.cpu_count() or 1, device.type == "cuda")
    try:
        lake = Lake(settings.lake.uri, settings.lake.storage_options)
        store, query = open_graph(settings, lake, edges=settings.training.source == "memory")
        context = DistributedContext(device=device)
        return Trainer(settings, build_task(settings, lake, store, query, context), context, _Hearing(hear)).run()
    finally:
        torch.set_num_threads(threads)


class _Hearing(NoOpCallback):
    """Hands progress on; nobody would go on from a checkpoint."""

    def __init__(self, hear: Hear) -> None:
        self._hear = hear

    def on_step(self, figures: Mapping[str, float]) -> None:
        self._hear("step", figures)

    def on_validation(self, figures: Mapping[str, float], checkpoint: Mapping[str, Any]) -> None:
        self._hear("validation", figures)
