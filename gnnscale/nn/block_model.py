"""Networks that take blocks as training has them: a tower of convolutions, and two towers for links."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from gnnscale.batches import FeatureBlock, HadTargets, TargetRows
from gnnscale.nn.encoders.item_encoder import Embedding, Lookup, plain_lookup
from gnnscale.nn.encoders.rows import RowEncoder
from gnnscale.nn.segments import segment_sum, take_rows
from gnnscale.schema import TableManifest

START = 0.1
"""Deviation of the initial embeddings of targets, and what the network counts at first beside vectors to start from."""


class TowerVectors(NamedTuple):
    """Vectors of entities ``[batch, channels]`` and of targets ``[targets, channels]``; scores are inner products."""

    entity: Tensor
    target: Tensor


class BlockModel(nn.Module):
    """A network of convolutions over the features of a block.

    Args:
        network: such as :class:`gnnscale.nn.BlockNetwork`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, block: FeatureBlock) -> Tensor:
        """Seeds to ``[batch, channels]``."""
        out: Tensor = self.network(*block.inputs())
        return out


class BlockTowers(nn.Module):
    """Vectors of entities from their blocks, and of targets from what they are known by; scores are inner products.

    Args:
        entity: network on blocks, to ``channels``.
        target: the targets' table.
        channels: of a vector.
        embedding: what a target is known by: ``lookup``, ``feature`` or ``fusion`` of both.
        lookup: makes the table of targets' own embeddings; default: a plain one.
        new_targets: whether targets that no training example names are ranked too.
        hidden: of a layer between a target's columns and its vector, which adds to their sum; None for the sum alone.
        temperature: scores are cosines divided by it; None for inner products of vectors as they are.
        from_targets: whether an entity's vector starts as the mean of those of what it has had: what the network adds
            is multiplied by a weight that is small at first (as in Bachlechner et al., 2021, where it is 0: a vector of
            zeros, as of who has had nothing, has no direction to learn).

    Attributes:
        learned: which targets training examples name, bool ``[targets]``; embeddings of the others count as zero.
        by_node: names of what has a row for each node, here each target.
    """

    learned: Tensor
    by_node = ("learned", "own.weight")

    def __init__(
        self,
        entity: nn.Module,
        target: TableManifest,
        channels: int,
        embedding: Embedding = "fusion",
        lookup: Lookup | None = None,
        new_targets: bool = True,
        hidden: int | None = None,
        temperature: float | None = None,
        from_targets: bool = False,
    ) -> None:
        super().__init__()
        self.new_targets, self.temperature = new_targets, temperature
        self.register_buffer("learned", torch.ones(target.rows, dtype=torch.bool))
        self.entity = BlockModel(entity)
        self.rows = RowEncoder(target, channels) if embedding != "lookup" else None
        self.own = (lookup or plain_lookup)("target", target.rows, channels, START) if embedding != "feature" else None
        self.share = nn.Parameter(torch.full((1,), START)) if from_targets else None
        self.deep = None
        if hidden is not None and self.rows is not None:
            layers = nn.LayerNorm(channels), nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, channels)
            self.deep = nn.Sequential(*layers)

    def forward(self, block: FeatureBlock, targets: TargetRows, had: HadTargets | None = None) -> TowerVectors:
        """Vectors of the block's seeds and of targets."""
        return TowerVectors(self.encode_entities(block, had), self.encode_targets(targets))

    def encode_entities(self, block: FeatureBlock, had: HadTargets | None = None) -> Tensor:
        """Vectors of the block's seeds, ``[batch, channels]``.

        Args:
            block: around them.
            had: what they have had, where their vectors start from it.
        """
        vectors: Tensor = self.entity(block)
        if had is not None and self.share is not None:
            own = take_rows(self.encode_targets(had.rows), had.target) * had.share.unsqueeze(1)
            vectors = self.share * vectors + segment_sum(own.to(vectors.dtype), had.entity, len(vectors))
        return self._scaled(vectors)

    def encode_targets(self, targets: TargetRows) -> Tensor:
        """Vectors of targets, ``[targets, channels]``."""
        parts = []
        if self.rows is not None:
            columns = self.rows(targets.features)
            parts.append(columns if self.deep is None else columns + self.deep(columns))
        if self.own is not None:
            parts.append(self.own(targets.nodes) * self.learned[targets.nodes].unsqueeze(1))
        return self._scaled(torch.stack(parts).sum(0))

    def _scaled(self, vectors: Tensor) -> Tensor:
        """Of one length, where scores are cosines."""
        if self.temperature is None:
            return vectors
        return functional.normalize(vectors, dim=-1) / math.sqrt(self.temperature)

    def ranked(self, nodes: Tensor) -> Tensor:
        """Which targets, int64 ``[targets]``, may be ranked at all, bool ``[targets]``."""
        return torch.ones_like(nodes, dtype=torch.bool) if self.new_targets else self.learned[nodes]
