"""The optimizer is torch's AdamW, without what torch loads to compile its steps."""

from __future__ import annotations

import copy
import subprocess
import sys

import torch
from torch import nn

from gnnscale.training.optimizer import EagerAdamW

PROGRAM = """
import sys, torch
from gnnscale.training.optimizer import EagerAdamW
weight = torch.nn.Parameter(torch.ones(3))
optimizer = EagerAdamW([weight], fused=True)
weight.sum().backward()
optimizer.step()
optimizer.zero_grad()
optimizer.load_state_dict(optimizer.state_dict())
sys.exit("torch._dynamo" in sys.modules)
"""


def test_steps_and_states_are_those_of_adamw() -> None:
    torch.manual_seed(3)
    models = [nn.Linear(5, 2)]
    models.append(copy.deepcopy(models[0]))
    options = {"lr": 0.1, "weight_decay": 0.05, "fused": True}
    kinds = EagerAdamW, torch.optim.AdamW
    optimizers = [kind(model.parameters(), **options) for kind, model in zip(kinds, models, strict=True)]
    for _ in range(4):
        inputs = torch.randn(7, 5)
        for model, optimizer in zip(models, optimizers, strict=True):
            optimizer.zero_grad()
            model(inputs).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(models[0].state_dict(), models[1].state_dict(), rtol=0, atol=0)
    ours, theirs = (optimizer.state_dict() for optimizer in optimizers)
    torch.testing.assert_close(ours["state"], theirs["state"], rtol=0, atol=0)


def test_the_compiler_is_not_loaded() -> None:
    assert subprocess.run([sys.executable, "-c", PROGRAM], check=False).returncode == 0
