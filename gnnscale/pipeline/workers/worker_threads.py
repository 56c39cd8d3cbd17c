"""How a process that trains shares its cores between the network and what makes its batches."""

from __future__ import annotations

import torch

from gnnscale.arrays import compute_threads
from gnnscale.config import Settings, candidate_networks


def share_cores(settings: Settings, cores: int, cuda: bool) -> Settings:
    """Give torch the cores that batches leave.

    Args:
        settings: the configuration.
        cores: of the process.
        cuda: whether it trains on a GPU.

    Returns:
        The configuration with what it leaves open decided.
    """
    settings = with_prefetch(settings, cores, cuda)
    prefetch = 0 if cuda else settings.training.prefetch or 0
    torch.set_num_threads(compute_threads(cores, prefetch, settings.sampling.threads))
    return settings


def with_prefetch(settings: Settings, cores: int, cuda: bool) -> Settings:
    """The configuration with a number of batches made ahead, where it leaves that open.

    Blocks are made by compiled code, which gains from a core of its own; batches of the other networks are made in
    good part under the interpreter's lock, and there the network had better take all cores.

    Args:
        settings: the configuration.
        cores: of the worker.
        cuda: whether it trains on a GPU.
    """
    if settings.training.prefetch is not None:
        return settings
    blocks = any(network.samples_blocks for network in candidate_networks(settings))
    prefetch = 2 if cuda or (blocks and cores > 1) else 0
    return settings.model_copy(update={"training": settings.training.model_copy(update={"prefetch": prefetch})})
