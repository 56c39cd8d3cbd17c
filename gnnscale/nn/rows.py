"""Rows of a table to vectors, by pytorch-frame's encoders of column types."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch_frame import TensorFrame, stype
from torch_frame.data.stats import StatType
from torch_frame.nn.encoder import EmbeddingEncoder, LinearEncoder, StypeWiseFeatureEncoder

from gnnscale.loading import RowFeatures
from gnnscale.schema import ColumnType, TableManifest


class RowEncoder(nn.Module):
    """Encoded columns of a row, each to a vector, summed.

    The statistics were applied when the graph was built, so numbers come with mean 0 and deviation 1. pytorch-frame
    wants several multicategorical columns woven into one tensor, to take them apart again; they, and vectors, come
    column by column, and go through torch's own layers.

    Args:
        table: figures of the table, for its columns and categories.
        channels: of the output.
        scale: deviation of the category embeddings at the start.
    """

    def __init__(self, table: TableManifest, channels: int, scale: float = 0.05) -> None:
        super().__init__()
        self.channels = channels
        self._names: dict[stype, list[str]] = {}
        statistics: dict[str, dict[StatType, object]] = {}
        encoders: dict[stype, nn.Module] = {}
        if table.numerical:
            self._names[stype.numerical] = [f.column for f in table.numerical]
            statistics |= {f.column: {StatType.MEAN: 0.0, StatType.STD: 1.0} for f in table.numerical}
            encoders[stype.numerical] = LinearEncoder()
        if table.categorical:
            self._names[stype.categorical] = [f.column for f in table.categorical]
            statistics |= {f.column: {StatType.COUNT: (f.categories, [])} for f in table.categorical}
            encoders[stype.categorical] = EmbeddingEncoder()
        self.columns = StypeWiseFeatureEncoder(channels, statistics, self._names, encoders) if encoders else None
        bags = [
            nn.EmbeddingBag(max(1, len(f.categories)), channels, mode="mean", include_last_offset=True)
            for f in table.multicategorical
        ]
        vectors = [nn.Linear(f.dims, channels, bias=False) for f in table.embedded]
        # A text's vector is of length 1: this gives its dimensions a deviation of about 1, as those of others have.
        self._lengths = [math.sqrt(f.dims) if f.type == ColumnType.TEXT else 1.0 for f in table.embedded]
        for bag in bags:
            nn.init.normal_(bag.weight, std=scale)
        for linear in vectors:
            nn.init.normal_(linear.weight, std=0.01)
        self.bags, self.vectors = nn.ModuleList(bags), nn.ModuleList(vectors)
        for name, parameter in self.named_parameters():
            if name.endswith("emb.weight"):
                nn.init.normal_(parameter, std=scale)
                with torch.no_grad():
                    parameter[0].zero_()

    def forward(self, rows: RowFeatures) -> Tensor:
        """Rows to ``[rows, channels]``."""
        total = rows.numerical.new_zeros(len(rows.numerical), self.channels)
        if self.columns is not None:
            total = total + self._encode(rows).sum(dim=1)
        for bag, lists in zip(self.bags, rows.multicategorical, strict=True):
            total = total + bag(lists.codes - 1, lists.offsets)
        for linear, length, vectors in zip(self.vectors, self._lengths, rows.embedded, strict=True):
            total = total + linear(vectors.to(total.dtype) * length)
        return total

    def _encode(self, rows: RowFeatures) -> Tensor:
        """Numbers and categories, ``[rows, columns, channels]``."""
        assert self.columns is not None
        values = {}
        if stype.numerical in self._names:
            values[stype.numerical] = rows.numerical
        if stype.categorical in self._names:
            # Ours is 0 for missing, pytorch-frame's is -1.
            values[stype.categorical] = rows.categorical - 1
        encoded: Tensor = self.columns(TensorFrame(values, self._names))[0]
        return encoded
