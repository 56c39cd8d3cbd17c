"""Processes that work together through gloo, for what several workers do without Ray."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch.distributed as dist
import torch.multiprocessing as mp

Work = Callable[[int, int, str], None]
"""What a process does, told its rank, the number of processes and a folder that they share; of a module."""


def run_group(work: Work, workers: int, folder: Path) -> None:
    """Do some work in so many processes of one group; an error of one of them is raised."""
    mp.spawn(_take_part, (workers, str(folder), work), nprocs=workers)


def _take_part(rank: int, workers: int, folder: str, work: Work) -> None:
    dist.init_process_group("gloo", f"file://{folder}/meet-{workers}", rank=rank, world_size=workers)
    work(rank, workers, folder)
    dist.barrier()
    # Data-parallel modules keep the group's threads beyond destroy_process_group. An interpreter that shuts down under
    # them aborts now and then, so this one doesn't shut down.
    os._exit(0)
