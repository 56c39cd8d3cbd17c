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
    """The loader itself, or one that gives the same blocks on the device.

    Args:
        loader: of blocks in memory.
        settings: ``sampler``, ``feature_type`` and ``precision`` count.
        device: that trains.
        processes: of this host that train together, and share its page-locked memory.

    Raises:
        ConfigError: the GPU's sampler is asked for without one, or features are to be small on the host.
    """
    cuda = device.type == "cuda"
    if settings.sampler == "gpu" and not cuda:
        raise ConfigError(f"training.sampler=gpu needs a CUDA device, and training is on {device}; allowed: auto, cpu")
    if settings.sampler == "cpu" or not cuda or (settings.sampler == "auto" and find_spec("triton") is None):
        if settings.feature_type != "fp32":
            raise ConfigError(
                f"training.feature_type={settings.feature_type} is for features on a GPU; "
                f"with training.sampler={settings.sampler} on {device} they are fp32"
            )
        return loader
    from gnnscale.batches import DeviceBlockLoader

    dtype = torch.bfloat16 if settings.precision == "bf16" else torch.float32
    return DeviceBlockLoader(loader, device, settings.feature_type, dtype, processes=processes)
