"""Graph attention with a dynamic ranking of the neighbors (Brody, Alon and Yahav, 2022: equation 7)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from gnnscale.config import Positive, Section
from gnnscale.schema import CONVOLUTIONS, ConfigError


class GATv2Conv(nn.Module):
    """``sum_u alpha_u W h_u``, where alpha is the softmax over neighbors of ``a . LeakyReLU(W h_u + V h_v)``.

    Args:
        parents, children: channels of a node and of its neighbors.
        out: channels of the message, over all heads together.
        heads: of attention.

    Raises:
        ConfigError: the heads don't divide the channels.
    """

    def __init__(self, parents: int, children: int, out: int, heads: int = 4) -> None:
        super().__init__()
        if heads < 1 or out % heads:
            raise ConfigError(f"{heads} heads don't divide {out} channels")
        self.heads, self.width = heads, out // heads
        self.value = nn.Linear(children, out, bias=False)
        self.query = nn.Linear(parents, out, bias=False)
        self.attention = nn.Parameter(torch.empty(heads, self.width))
        nn.init.xavier_uniform_(self.attention)

    def forward(self, parents: Tensor, children: Tensor, present: Tensor, weights: Tensor | None = None) -> Tensor:
        """Messages to the parents; arguments as of :class:`SAGEConv`, of which ``weights`` count for nothing."""
        # [..., fanout, heads, width], and [..., 1, heads, width] of the parent
        values = self.value(children).unflatten(-1, (self.heads, self.width))
        query = self.query(parents).unflatten(-1, (self.heads, self.width)).unsqueeze(-3)
        score = (functional.leaky_relu(values + query, 0.2) * self.attention).sum(-1)
        score = score.masked_fill(~present.unsqueeze(-1), torch.finfo(score.dtype).min)
        # Where no neighbor is there the softmax is even; the mask makes it none.
        alpha = torch.softmax(score, dim=-2) * present.unsqueeze(-1)
        return (alpha.unsqueeze(-1) * values).sum(-3).flatten(-2)


class AttentionOptions(Section):
    """Of :class:`AttentionConv`.

    Args:
        heads: of attention, at most.
    """

    heads: Positive = 4


@CONVOLUTIONS.register("attention")
class AttentionConv(GATv2Conv):
    """With so many heads, or as many of them as divide the output: a single score has one."""

    Options = AttentionOptions

    def __init__(self, parents: int, children: int, out: int, heads: int = 4) -> None:
        super().__init__(parents, children, out, math.gcd(heads, out))
