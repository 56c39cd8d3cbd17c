"""Training on blocks that a device samples: the losses of the host's, and CUDA graphs where shapes are fixed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gnnscale.batches.blocks.device_loader import DeviceBlockLoader
from gnnscale.nn.conv.block_network import BlockNetwork
from gnnscale.store import GraphStore
from tests.gpu.test_device_loader import loader_of

STEPS = 6


def losses_of(source, device: torch.device, mode: str | None = None) -> list[float]:
    torch.manual_seed(0)
    model = BlockNetwork(source.paths, source.table, source.widths, 8, 2, categories=source.categories).to(device)
    if mode:
        model.compile(mode=mode, dynamic=False)
    optimiser = torch.optim.SGD(model.parameters(), 0.05)
    values = torch.randn(26, 2, generator=torch.Generator().manual_seed(0))
    found = []
    for step in range(STEPS):
        block = source.build(np.arange(9) + step, 0)
        if mode:
            torch.compiler.cudagraph_mark_step_begin()
        out = model(*block.to(device).inputs())
        loss = (out - values[block.rows].to(device)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found.append(float(loss.detach()))
    return found


def test_losses_are_those_of_blocks_from_the_host(shop: GraphStore, device: torch.device) -> None:
    host = losses_of(loader_of(shop), device)
    assert losses_of(DeviceBlockLoader(loader_of(shop), device), device) == pytest.approx(host, rel=1e-5)
    assert host[-1] != host[0]


def test_cuda_graphs_give_the_losses_of_plain_steps(shop: GraphStore, cuda: torch.device) -> None:
    source = DeviceBlockLoader(loader_of(shop), cuda)
    assert losses_of(source, cuda, "reduce-overhead") == pytest.approx(losses_of(source, cuda), rel=1e-4)
