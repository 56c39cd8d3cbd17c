"""Codes of a table's categorical columns as vectors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

START = 0.1
"""Deviation of the initial embeddings."""


class CategoryEncoder(nn.Module):
    """The embedding of each column's category, summed over the columns.

    All columns share one table of rows, so that a slot and column costs one look-up: row 0 is of what is absent and
    stays zero, after it come the rows of the first column, the one of a missing value first, and so on.

    Args:
        categories: of each column.
        channels: of the vectors.
    """

    offsets: Tensor

    def __init__(self, categories: Sequence[int], channels: int) -> None:
        super().__init__()
        starts = list(accumulate((count + 1 for count in categories), initial=1))
        self.embeddings = nn.EmbeddingBag(starts[-1], channels, mode="sum", padding_idx=0)
        self.register_buffer("offsets", torch.tensor(starts[:-1], dtype=torch.int32), persistent=False)
        nn.init.normal_(self.embeddings.weight, std=START)
        with torch.no_grad():
            self.embeddings.weight[[0, *starts[:-1]]] = 0

    def forward(self, codes: Tensor, present: Tensor) -> Tensor:
        """Slots to ``[..., channels]``, zeros where one is absent.

        Args:
            codes: int32 ``[..., columns]``, 0 where a value is missing.
            present: which slots hold a node, bool ``[...]``.
        """
        # [..., columns] -> [slots, columns]
        rows = torch.where(present.unsqueeze(-1), codes + self.offsets, 0).flatten(0, -2)
        vectors: Tensor = self.embeddings(rows)
        return vectors.unflatten(0, present.shape)
