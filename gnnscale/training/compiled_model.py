"""The network through ``torch.compile``, and replayed as CUDA graphs where its shapes are fixed."""

from __future__ import annotations

import torch
from torch import nn

from gnnscale.config import TrainingSettings
from gnnscale.nn import sharded_tables
from gnnscale.schema import ConfigError


def compile_model(model: nn.Module, settings: TrainingSettings, device: torch.device) -> None:
    """Have a network compiled when it is first called, in place: weights and their names stay.

    Batches of an epoch differ in size by one at most: CUDA graphs are recorded for each of the two sizes, without them
    the size is a variable of the compiled code.

    Args:
        model: to compile.
        settings: ``compile`` and ``cuda_graphs`` count; the latter implies the former.
        device: that trains.

    Raises:
        ConfigError: CUDA graphs without a CUDA device.
    """
    if settings.cuda_graphs and device.type != "cuda":
        raise ConfigError(
            f"training.cuda_graphs=true needs a CUDA device, and training is on {device}; set it to false"
        )
    if settings.cuda_graphs or settings.compile:
        # Who exchanges rows with other processes is not compiled; what is around it is. A decorator would say so too,
        # and load the compiler, which takes a second, into every process that loads a network.
        for table in sharded_tables(model).values():
            table.forward = torch.compiler.disable(table.forward)  # type: ignore[method-assign]
    if settings.cuda_graphs:
        model.compile(mode="reduce-overhead", dynamic=False)
    elif settings.compile:
        model.compile()
