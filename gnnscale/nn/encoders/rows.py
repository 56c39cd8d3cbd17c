"""Rows of a table to vectors."""

from __future__ import annotations

import math

from torch import Tensor, nn

from gnnscale.batches import RowFeatures
from gnnscale.schema import ColumnType, TableManifest


class RowEncoder(nn.Module):
    """Encoded columns of a row, each to a vector, summed.

    The statistics were applied when the graph was built, so numbers come with mean 0 and deviation 1, and what is
    missing is 0. Each kind of column is summed as it is encoded: a vector for every row and column would cost more
    than what is computed of them.

    Args:
        table: figures of the table, for its columns and categories.
        channels: of the output.
        scale: deviation of the category embeddings at the start.
    """

    def __init__(self, table: TableManifest, channels: int, scale: float = 0.05) -> None:
        super().__init__()
        self.channels = channels
        self.numbers = nn.Linear(len(table.numerical), channels) if table.numerical else None
        categories = [nn.Embedding(len(f.categories) + 1, channels, padding_idx=0) for f in table.categorical]
        bags = [
            nn.EmbeddingBag(max(1, len(f.categories)), channels, mode="mean", include_last_offset=True)
            for f in table.multicategorical
        ]
        vectors = [nn.Linear(f.dims, channels, bias=False) for f in table.embedded]
        # A text's vector is of length 1: this gives its dimensions a deviation of about 1, as those of others have.
        self._lengths = [math.sqrt(f.dims) if f.type == ColumnType.TEXT else 1.0 for f in table.embedded]
        for bag in bags:
            nn.init.normal_(bag.weight, std=scale)
        for embedding in categories:
            nn.init.normal_(embedding.weight[1:], std=scale)
        for linear in vectors if self.numbers is None else [*vectors, self.numbers]:
            nn.init.normal_(linear.weight, std=0.01)
        if self.numbers is not None:
            nn.init.zeros_(self.numbers.bias)
        self.categories, self.bags = nn.ModuleList(categories), nn.ModuleList(bags)
        self.vectors = nn.ModuleList(vectors)

    def forward(self, rows: RowFeatures) -> Tensor:
        """Rows to ``[rows, channels]``."""
        if self.numbers is None:
            total = rows.numerical.new_zeros(len(rows.numerical), self.channels)
        else:
            # Whatever the linear layer computes in under autocast, sums are in the columns' own type.
            total = self.numbers(rows.numerical).to(rows.numerical.dtype)
        for embedding, codes in zip(self.categories, rows.categorical.unbind(1), strict=True):
            total = total + embedding(codes)
        for bag, lists in zip(self.bags, rows.multicategorical, strict=True):
            total = total + bag(lists.codes - 1, lists.offsets)
        for linear, length, vectors in zip(self.vectors, self._lengths, rows.embedded, strict=True):
            total = total + linear(vectors.to(total.dtype) * length)
        return total
