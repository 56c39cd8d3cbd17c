"""Where block training samples: on the host, or on the device that trains."""

from __future__ import annotations

from importlib.util import find_spec

import torch

from gnnscale.batches import BlockLoader, BlockSource
from gnnscale.config import TrainingSettings
from gnnscale.schema import ConfigError


def place_source(
    loader: BlockLoader, settings: TrainingSettings, device: torch.device, processes: int = 1
) -> BlockSource:
    """The loader itself, with features of the type that is asked for, or one that gives the same blocks on the device.

    Args:
        loader: of blocks in memory.
        settings: ``sampler``, ``feature_type`` and ``precision`` count.
        device: that trains.
        processes: of this host that train together, and share its page-locked memory.

    Raises:
        ConfigError: the GPU's sampler is asked for without one.
    """
    cuda = device.type == "cuda"
    if settings.sampler == "gpu" and not cuda:
        raise ConfigError(f"training.sampler=gpu needs a CUDA device, and training is on {device}; allowed: auto, cpu")
    if settings.sampler == "cpu" or not cuda or (settings.sampler == "auto" and find_spec("triton") is None):
        if settings.feature_type != "fp32":
            loader.store_features(settings.feature_type)
        return loader
    from gnnscale.batches import DeviceBlockLoader

    dtype = torch.bfloat16 if settings.precision == "bf16" else torch.float32
    return DeviceBlockLoader(loader, device, settings.feature_type, dtype, processes=processes)
