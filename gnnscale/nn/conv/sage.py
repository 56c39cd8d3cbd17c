"""GraphSAGE: neighbors pooled, then one linear map (Hamilton, Ying and Leskovec, 2017: algorithm 1, lines 4 and 5)."""

from __future__ import annotations

from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from gnnscale.schema import CONVOLUTIONS, ConfigError, nearest

Pooling = Literal["mean", "sum", "max"]


@CONVOLUTIONS.register("mean")
class SAGEConv(nn.Module):
    """``W pool(h_u for neighbors u)``; the network adds the node's own term.

    Args:
        parents, children: channels of a node and of its neighbors.
        out: channels of the message.
        pooling: over the neighbors that are there; where there are none, the message is 0.

    Raises:
        ConfigError: there is no such pooling.
    """

    def __init__(self, parents: int, children: int, out: int, pooling: Pooling = "mean") -> None:
        super().__init__()
        if pooling not in get_args(Pooling):
            raise ConfigError(f"unknown pooling '{pooling}'.{nearest(pooling, get_args(Pooling))}")
        self.pooling = pooling
        self.linear = nn.Linear(children, out, bias=False)

    def forward(self, parents: Tensor, children: Tensor, present: Tensor, weights: Tensor | None = None) -> Tensor:
        """Messages to the parents.

        Args:
            parents: ``[..., parents]``.
            children: ``[..., fanout, children]``.
            present: which slots hold a neighbor, bool ``[..., fanout]``.
            weights: of the neighbors, ``[..., fanout]``, for the mean; default: equal ones.

        Returns:
            ``[..., out]``.
        """
        return self.of_pooled(pool(children, present, self.pooling, weights))

    def of_pooled(self, pooled: Tensor) -> Tensor:
        """Messages of neighbors that are pooled already, ``[..., children]``."""
        message: Tensor = self.linear(pooled)
        return message


CONVOLUTIONS.register("sum")(partial(SAGEConv, pooling="sum"))
CONVOLUTIONS.register("max")(partial(SAGEConv, pooling="max"))


def pool(children: Tensor, present: Tensor, pooling: Pooling, weights: Tensor | None = None) -> Tensor:
    """Neighbors to one vector a parent: ``[..., fanout, channels]`` -> ``[..., channels]``, 0 where there are none."""
    if pooling == "max":
        lowest = torch.finfo(children.dtype).min
        largest = children.masked_fill(~present.unsqueeze(-1), lowest).amax(-2)
        return largest.masked_fill(~present.any(-1, keepdim=True), 0.0)
    share = present.to(children.dtype)
    if pooling == "mean":
        share = share if weights is None else share * weights
        share = share / share.sum(-1, keepdim=True).clamp(min=torch.finfo(share.dtype).tiny)
    # [..., 1, fanout] x [..., fanout, channels]
    return torch.matmul(share.unsqueeze(-2), children).squeeze(-2)
