"""Optimizer and the running average of the weights."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

from gnnscale.config import TrainingSettings


class EagerAdamW(torch.optim.AdamW):
    """AdamW whose steps nothing compiles: torch imports its compiler for every other one, which takes two seconds."""

    step: Any = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))
    add_param_group: Any = inspect.unwrap(torch.optim.AdamW.add_param_group)
    zero_grad: Any = inspect.unwrap(torch.optim.AdamW.zero_grad)
    state_dict: Any = inspect.unwrap(torch.optim.AdamW.state_dict)
    load_state_dict: Any = inspect.unwrap(torch.optim.AdamW.load_state_dict)


def build_optimizer(model: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """AdamW over all parameters, whose learning rate every step sets."""
    return EagerAdamW(model.parameters(), weight_decay=settings.weight_decay, fused=True)


class WeightAverage:
    """Exponential moving average of a model's parameters.

    The decay grows as (step) / (step + 10) up to its setting, so that early weights are soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards the weights after ``step`` steps, counted from 1."""
        keep = min(self.decay, step / (step + 10))
        mine, theirs = [], []
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                mine.append(self.state[name])
                theirs.append(value)
        torch._foreach_lerp_(mine, theirs, 1 - keep)
