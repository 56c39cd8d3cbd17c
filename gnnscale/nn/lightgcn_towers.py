"""LightGCN (He et al., SIGIR 2020): vectors of entities and targets, smoothed over the graph of both."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from gnnscale.batches import BipartiteBlock
from gnnscale.nn.block_model import TowerVectors
from gnnscale.nn.embedding.sharded_embedding import ProcessGroup, ShardedEmbedding
from gnnscale.nn.encoders.item_encoder import Lookup, plain_lookup
from gnnscale.nn.segments import take_rows

START = 0.1
"""Deviation of vectors before training."""

DEMAND = 0.1
"""What the logarithm of a target's degree adds to its scores before training."""


class NodeVectors(nn.Module):
    """A vector for each node of a table; of those that training does not meet it is zero.

    Args:
        name: of the table of vectors.
        rows: nodes.
        channels: of a vector.
        lookup: makes the table; default: a plain one.

    Attributes:
        learned: which nodes training meets, bool ``[rows]``.
        by_node: names of what has a row for each node.
    """

    learned: Tensor
    by_node = ("learned", "own.weight")

    def __init__(self, name: str, rows: int, channels: int, lookup: Lookup | None = None) -> None:
        super().__init__()
        self.register_buffer("learned", torch.ones(rows, dtype=torch.bool))
        self.own = (lookup or plain_lookup)(name, rows, channels, START)

    @torch.no_grad()
    def start_from(self, values: Tensor | None, group: ProcessGroup) -> None:
        """Take vectors of all nodes to begin with; all processes have to take part.

        Args:
            values: float32 ``[rows, channels]`` on rank 0; of no use elsewhere.
            group: processes that train together.
        """
        if isinstance(self.own, ShardedEmbedding):
            self.own.start_from(values)
            return
        weight = cast(Tensor, self.own.weight)
        for start, piece in group.spread(values, (weight.shape[0], weight.shape[1])):
            weight[start : start + len(piece)] = piece.to(weight.device)

    def forward(self, nodes: Tensor) -> Tensor:
        """Vectors of some nodes, ``[nodes, channels]``."""
        vectors: Tensor = self.own(nodes)
        return vectors * self.learned[nodes].unsqueeze(1)


class LightGCNTowers(nn.Module):
    """Inner products of smoothed vectors: ``(E + A E + ... + A^K E) / (K + 1)`` (equations 3, 4 and 8), A being the
    normalized adjacency of entities and targets.

    Two numbers are learned beside E: a factor of the scores, and what the logarithm of a target's degree adds to them,
    which is all that is said to an entity without events.

    By Horner's rule ``E + A (E + A (...))``: a product needs the nodes that the next one asks for, and no node's own
    state of a layer before.

    Args:
        entities, targets: vectors before they are smoothed.
        temperature: scores are cosines divided by it; None for inner products.
    """

    def __init__(self, entities: NodeVectors, targets: NodeVectors, temperature: float | None = None) -> None:
        super().__init__()
        self.entities, self.targets, self.temperature = entities, targets, temperature
        self.log_factor = nn.Parameter(torch.zeros(1))
        self.demand = nn.Parameter(torch.full((1,), DEMAND))

    def forward(self, block: BipartiteBlock) -> TowerVectors:
        """Vectors of a block's entities and of its targets; see :meth:`scored`."""
        smoothed = self.smooth(block)
        return self.scored(take_rows(smoothed, block.entities), take_rows(smoothed, block.targets), block.degrees)

    def smooth(self, block: BipartiteBlock) -> Tensor:
        """Smoothed vectors of a block's set 0, ``[nodes, channels]``."""
        start = torch.cat([self.entities(block.entity_nodes), self.targets(block.target_nodes)])
        state = take_rows(start, block.nodes[-1])
        for nodes, product in zip(reversed(block.nodes[:-1]), reversed(block.products), strict=True):
            near = functional.embedding_bag(
                product.columns,
                state,
                product.offsets,
                mode="sum",
                per_sample_weights=product.weights.to(state.dtype),
                include_last_offset=True,
            )
            state = take_rows(start, nodes) + near
        return state / len(block.nodes)

    def all_vectors(self) -> Tensor:
        """Vectors of all entities and then all targets before they are smoothed, ``[nodes, channels]``."""
        sides = (self.entities, self.targets)
        return torch.cat([side(torch.arange(len(side.learned), device=side.learned.device)) for side in sides])

    def scored(self, entities: Tensor, targets: Tensor, degrees: Tensor) -> TowerVectors:
        """What scores are inner products of, ``[entities, channels + 1]`` and ``[targets, channels + 1]``: the last
        channel of a target is its bias, and of an entity 1.

        Args:
            entities, targets: smoothed vectors, ``[entities, channels]`` and ``[targets, channels]``.
            degrees: of the targets, ``[targets]``.
        """
        bias = (self.demand * torch.log1p(degrees)).unsqueeze(1)
        entities, targets = self._scaled(entities), self._scaled(targets)
        one = torch.ones_like(entities[:, :1])
        return TowerVectors(torch.cat([entities, one], dim=1), torch.cat([targets, bias.to(targets.dtype)], dim=1))

    def _scaled(self, vectors: Tensor) -> Tensor:
        half = torch.exp(self.log_factor / 2)
        if self.temperature is None:
            return vectors * half
        return functional.normalize(vectors, dim=-1) * (half / math.sqrt(self.temperature))
