"""What a target is known by: an embedding of its own, its columns, or both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from gnnscale.batches import TargetBatch
from gnnscale.nn.encoders.rows import RowEncoder
from gnnscale.nn.keyed_dropout import KeyedDropout
from gnnscale.schema import TableManifest

Embedding = Literal["lookup", "feature", "fusion"]


Lookup = Callable[[str, int, int, float], nn.Module]
"""Makes a table of embeddings from its name, rows, channels and the deviation of its initial values."""


def plain_lookup(name: str, rows: int, channels: int, deviation: float) -> nn.Module:
    """A table that is a weight like any other."""
    table = nn.Embedding(rows, channels)
    if deviation:
        nn.init.normal_(table.weight, std=deviation)
    else:
        nn.init.zeros_(table.weight)
    return table


class ItemEncoder(nn.Module):
    """Vectors of targets for the pair branch and for the tower.

    The embeddings of targets that no training example names are never learned: they count as zero.

    Args:
        target: the table.
        feature, identity: channels of a target's columns and of its own embedding in the pair branch.
        tower: channels of a tower vector.
        embedding: ``lookup`` for embeddings alone, ``feature`` for columns alone, ``fusion`` for both.
        lookup: makes the tables of embeddings; default: :func:`plain_lookup`.
        dropout: of the network; the pair branch's own embeddings go through it twice.

    Attributes:
        channels: of a pair vector.
        learned: which targets training examples name, bool ``[targets]``.
        by_node: names of what has a row for each node, here each target.
    """

    learned: Tensor
    by_node = ("learned", "pair_identity.weight", "tower_identity.weight")

    def __init__(
        self,
        target: TableManifest,
        feature: int,
        identity: int,
        tower: int,
        embedding: Embedding,
        lookup: Lookup | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        lookup = lookup or plain_lookup
        self.by_columns, self.by_lookup = embedding != "lookup", embedding != "feature"
        self.channels = feature * self.by_columns + identity * self.by_lookup
        self.register_buffer("learned", torch.ones(target.rows, dtype=torch.bool))
        if self.by_columns:
            self.pair_rows = RowEncoder(target, feature)
        if self.by_lookup:
            self.pair_identity = lookup("pair", target.rows, identity, 0.0)
        self.identity_dropout = KeyedDropout(1 - (1 - dropout) ** 2, "identity")
        if self.by_columns:
            self.tower_rows = RowEncoder(target, tower, scale=0.1)
        if self.by_lookup:
            self.tower_identity = lookup("tower", target.rows, tower, 0.01)

    def pair(self, targets: TargetBatch) -> Tensor:
        """For the pair branch, ``[targets, channels]``."""
        parts = []
        if self.by_columns:
            parts.append(self.pair_rows(targets.features))
        if self.by_lookup:
            parts.append(self.identity_dropout(self._own(self.pair_identity, targets.nodes), targets.nodes))
        return torch.cat(parts, dim=1)

    def tower(self, targets: TargetBatch) -> Tensor:
        """For the tower, ``[targets, tower]``."""
        if not self.by_columns:
            return self._own(self.tower_identity, targets.nodes)
        rows: Tensor = self.tower_rows(targets.features)
        return self._own(self.tower_identity, targets.nodes) + rows if self.by_lookup else rows

    def _own(self, identity: nn.Module, nodes: Tensor) -> Tensor:
        vectors: Tensor = identity(nodes)
        return vectors * self.learned[nodes].unsqueeze(1)
