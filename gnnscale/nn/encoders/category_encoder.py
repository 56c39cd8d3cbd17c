"""Codes of a table's categorical and multicategorical columns as vectors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from gnnscale.batches import ListColumn

START = 0.1
"""Deviation of the initial embeddings."""


class CategoryEncoder(nn.Module):
    """The embedding of each column's category, or the mean of those of a list's categories, summed over the columns.

    All columns share one table of rows, so that a slot and code costs one look-up: row 0 is of what is absent and
    stays zero, after it come the rows of the first column, the one of a missing value first, and so on.

    Args:
        categories: of each column, as :data:`gnnscale.batches.Categories` has them.
        channels: of the vectors.
    """

    offsets: Tensor

    def __init__(self, categories: Sequence[int | ListColumn], channels: int) -> None:
        super().__init__()
        counts = [column.categories if isinstance(column, ListColumn) else column for column in categories]
        starts = list(accumulate((count + 1 for count in counts), initial=1))
        self._plain = sum(not isinstance(column, ListColumn) for column in categories)
        self._widths = [column.width for column in categories if isinstance(column, ListColumn)]
        self.embeddings = nn.EmbeddingBag(starts[-1], channels, mode="sum", padding_idx=0)
        # One a code: those of a list have that of their column.
        offsets = torch.tensor(starts[:-1], dtype=torch.int32)
        widths = torch.tensor([*[1] * self._plain, *self._widths], dtype=torch.int64)
        self.register_buffer("offsets", offsets.repeat_interleave(widths), persistent=False)
        nn.init.normal_(self.embeddings.weight, std=START)
        with torch.no_grad():
            self.embeddings.weight[[0, *starts[:-1]]] = 0

    def forward(self, codes: Tensor, present: Tensor) -> Tensor:
        """Slots to ``[..., channels]``, zeros where one is absent.

        Args:
            codes: int32 ``[..., codes]``, one a column and each list with zeros behind, 0 where a value is missing.
            present: which slots hold a node, bool ``[...]``.
        """
        # [..., codes] -> [slots, codes]
        rows = torch.where(present.unsqueeze(-1), codes + self.offsets, 0).flatten(0, -2)
        shares = self._shares(codes.flatten(0, -2)) if self._widths else None
        vectors: Tensor = self.embeddings(rows, per_sample_weights=shares)
        return vectors.unflatten(0, present.shape)

    def _shares(self, codes: Tensor) -> Tensor:
        """What each code counts, ``[slots, codes]``: 1, and of a list as much as all others of it, together 1."""
        plain, *lists = codes.split([self._plain, *self._widths], dim=1)
        shares = [torch.ones_like(plain, dtype=self.embeddings.weight.dtype)]
        for own in lists:
            there = (own > 0).to(self.embeddings.weight.dtype)
            shares.append(there / there.sum(1, keepdim=True).clamp(min=1))
        return torch.cat(shares, dim=1)
