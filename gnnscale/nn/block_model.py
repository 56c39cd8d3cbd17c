"""Networks that take blocks as training has them: a tower of convolutions, and two towers for links."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from gnnscale.batches import FeatureBlock, TargetRows
from gnnscale.nn.item_encoder import Embedding, Lookup, plain_lookup
from gnnscale.nn.rows import RowEncoder
from gnnscale.schema import TableManifest

START = 0.1
"""Deviation of the initial embeddings of targets."""


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

    Attributes:
        learned: which targets training examples name, bool ``[targets]``; embeddings of the others count as zero.
        of_targets: names of what has a row for each target.
    """

    learned: Tensor
    of_targets = ("learned", "own.weight")

    def __init__(
        self,
        entity: nn.Module,
        target: TableManifest,
        channels: int,
        embedding: Embedding = "fusion",
        lookup: Lookup | None = None,
        new_targets: bool = True,
    ) -> None:
        super().__init__()
        self.new_targets = new_targets
        self.register_buffer("learned", torch.ones(target.rows, dtype=torch.bool))
        self.entity = BlockModel(entity)
        self.rows = RowEncoder(target, channels) if embedding != "lookup" else None
        self.own = (lookup or plain_lookup)("target", target.rows, channels, START) if embedding != "feature" else None

    def forward(self, block: FeatureBlock, targets: TargetRows) -> TowerVectors:
        """Vectors of the block's seeds and of targets."""
        return TowerVectors(self.entity(block), self.encode_targets(targets))

    def encode_targets(self, targets: TargetRows) -> Tensor:
        """Vectors of targets, ``[targets, channels]``."""
        parts = []
        if self.rows is not None:
            parts.append(self.rows(targets.features))
        if self.own is not None:
            parts.append(self.own(targets.nodes) * self.learned[targets.nodes].unsqueeze(1))
        return torch.stack(parts).sum(0)

    def ranked(self, nodes: Tensor) -> Tensor:
        """Which targets, int64 ``[targets]``, may be ranked at all, bool ``[targets]``."""
        return torch.ones_like(nodes, dtype=torch.bool) if self.new_targets else self.learned[nodes]
