"""PinSage (Ying et al., KDD 2018): convolutions over what random walks visit most, one vector for each item."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from gnnscale.batches import Categories, LayeredBlock
from gnnscale.nn.block_model import TowerVectors
from gnnscale.nn.conv.block_network import BlockNetwork, Convolution, own_name
from gnnscale.nn.segments import take_rows
from gnnscale.sampling import Path


class PinSageNetwork(BlockNetwork):
    """Layers ``h = norm(ReLU(W [h, n] + w))``, n being what neighbors say (algorithm 1, where ``W [h, n]`` is the sum
    of the node's own term and the message), and ``norm(G2 ReLU(G1 h + g))`` of the last (algorithm 2, line 17).

    Args:
        hops: one hop along the same edge type after the other, from short to long.
        table: of the items.
        inputs: channels of their features.
        hidden: channels of every layer.
        out: channels of the vectors.
        convolution: of each layer.
        categories: of the table's categorical and multicategorical columns.
        category_channels: of the vector that an item's categories add to its features.
    """

    def __init__(
        self,
        hops: tuple[Path, ...],
        table: str,
        inputs: int,
        hidden: int,
        out: int,
        convolution: Convolution,
        categories: Mapping[str, Categories] | None = None,
        category_channels: int = 24,
    ) -> None:
        super().__init__(hops, table, {table: inputs}, hidden, hidden, convolution, categories, category_channels)
        self.table, self.out = table, out
        self.dense = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, out, bias=False))

    def finish(self, value: Tensor, layer: int) -> Tensor:
        """A state of length 1; of the last layer the item's vector."""
        state = functional.normalize(functional.relu(value), dim=-1)
        if layer < self.depth - 1:
            return state
        return functional.normalize(self.dense(state), dim=-1)

    def width(self, layer: int) -> int:
        """As in :meth:`BlockNetwork.width`."""
        return self.out if layer == self.depth - 1 else super().width(layer)

    def encode_layers(self, block: LayeredBlock) -> Tensor:
        """Vectors of the nodes of a block's last layer, ``[nodes, out]``; each state is computed once."""
        everyone = torch.ones(len(block.features), dtype=torch.bool, device=block.features.device)
        state = self.encode(self.table, block.features, everyone, block.codes)
        for layer, (own, near, weights) in enumerate(zip(block.own, block.neighbors, block.weights, strict=True)):
            convolve = self.messages[layer][self.paths[1][-1].table_name]  # type: ignore[index]
            said = convolve.encode_neighbors(state)
            shares = _shares(weights, convolve).to(said.dtype)
            pooled = functional.embedding_bag(near, said, mode="sum", per_sample_weights=shares)
            value = self.own[layer][own_name(self.table)](take_rows(state, own))  # type: ignore[index]
            state = self.finish(value + convolve.of_pooled(pooled), layer)
        return state


def _shares(weights: Tensor, convolve: nn.Module) -> Tensor:
    """What each neighbor counts, ``[nodes, top]``: its weight, or the same as all that are there."""
    if getattr(convolve, "weighted", True):
        return weights
    there = (weights > 0).to(weights.dtype)
    return there / there.sum(1, keepdim=True).clamp(min=1)


class PinSageTowers(nn.Module):
    """Vectors of entities and targets that are items alike, by one network; scores are inner products.

    Args:
        network: of the items.
        temperature: in training, inner products are cosines divided by it.
    """

    def __init__(self, network: PinSageNetwork, temperature: float = 1.0) -> None:
        super().__init__()
        self.network, self.scale = network, 1 / math.sqrt(temperature)

    def forward(self, block: LayeredBlock) -> TowerVectors:
        """Vectors of a block's entities, ``[batch, out]``, and of its targets, ``[targets, out]``."""
        vectors = self.network.encode_layers(block) * self.scale
        return TowerVectors(take_rows(vectors, block.entities), take_rows(vectors, block.targets))
