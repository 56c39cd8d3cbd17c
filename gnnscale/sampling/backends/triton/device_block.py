"""A sampled neighborhood whose arrays are tensors on a device."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from gnnscale.sampling.block import Block, Hop
from gnnscale.sampling.paths import Path


@dataclass(frozen=True)
class DeviceHop:
    """As :class:`gnnscale.sampling.Hop`.

    Args:
        path: edge types from the seed; the last one's target is the nodes' table.
        nodes: int32 ``[batch, fanout 1, ..., fanout n]``, -1 where absent.
        times: int32, same shape: seconds after the graph's origin of the edge that reached each node.
    """

    path: Path
    nodes: torch.Tensor
    times: torch.Tensor

    @property
    def table(self) -> str:
        """Table that the nodes are rows of."""
        return self.path[-1].target


@dataclass(frozen=True)
class DeviceBlock:
    """As :class:`gnnscale.sampling.Block`.

    Args:
        seeds: int64 ``[batch]``, node ids of ``table``.
        times: int32 ``[batch]``, anchor of each seed in seconds after the graph's origin.
        hops: one for each path, shorter paths first.
        edges: that were sampled, int64 ``[1]``.
    """

    table: str
    seeds: torch.Tensor
    times: torch.Tensor
    hops: dict[Path, DeviceHop]
    edges: torch.Tensor

    def to_host(self) -> Block:
        """The same block as NumPy arrays; waits for the device."""
        hops = {path: Hop(path, hop.nodes.cpu().numpy(), hop.times.cpu().numpy()) for path, hop in self.hops.items()}
        return Block(self.table, self.seeds.cpu().numpy(), self.times.cpu().numpy(), hops)
