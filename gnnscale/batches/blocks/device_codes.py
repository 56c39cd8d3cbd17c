"""Codes of a table's categorical and multicategorical columns where a device gathers them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gnnscale.arrays import Ragged
from gnnscale.batches.blocks.category_codes import CategoryCodes
from gnnscale.sampling import FeatureTable, Location, gather
from gnnscale.schema import ConfigError

MOST_CODES = 2**31 - 1
"""Of all lists of a column: where a list starts is a number of 32 bits, as all that is gathered whole."""


@dataclass(frozen=True)
class DeviceLists:
    """Lists of codes of all nodes.

    Args:
        bounds: where each list starts and how long it is, ``[nodes, 2]``.
        codes: of all lists, one after the other, ``[codes, 1]``.
        width: that lists are padded to.
    """

    bounds: FeatureTable
    codes: FeatureTable
    width: int

    @classmethod
    def of(cls, lists: Ragged, width: int, device: torch.device, placement: Location) -> DeviceLists:
        """Bring lists to where they are to live.

        Args:
            lists: of all nodes.
            width: of the longest list at least.
            device: that gathers.
            placement: see :class:`gnnscale.sampling.Placement`.

        Raises:
            ConfigError: there are more codes than numbers of 32 bits count.
        """
        if len(lists.values) > MOST_CODES:
            raise ConfigError(
                f"a multicategorical column has {len(lists.values):,} values; training.sampler=gpu takes up to "
                f"{MOST_CODES:,}, take training.sampler=cpu"
            )
        bounds = np.stack([lists.indptr[:-1], lists.counts], axis=1).astype(np.int32)
        # A row that is never read, where all lists are empty: an address has to be of something.
        codes = np.asarray(lists.values, np.int32) if len(lists.values) else np.zeros(1, np.int32)
        return cls(
            FeatureTable.of(bounds, device, placement), FeatureTable.of(codes[:, None], device, placement), width
        )

    def gather(self, nodes: Tensor) -> Tensor:
        """Lists of nodes ``[...]``, padded: int32 ``[..., width]``, zeros where a node is absent."""
        start, count = gather(self.bounds, nodes, torch.int32).split(1, dim=-1)
        position = torch.arange(self.width, dtype=torch.int32, device=nodes.device)
        return gather(self.codes, torch.where(position < count, start + position, -1), torch.int32).squeeze(-1)


@dataclass(frozen=True)
class DeviceCodes:
    """As :class:`gnnscale.batches.CategoryCodes`, where a device gathers them."""

    values: FeatureTable
    lists: tuple[DeviceLists, ...]

    @classmethod
    def of(cls, codes: CategoryCodes, device: torch.device, placement: Location) -> DeviceCodes:
        """Bring a table's codes to where they are to live."""
        lists = zip(codes.lists, codes.list_columns, strict=True)
        return cls(
            FeatureTable.of(np.asarray(codes.values), device, placement),
            tuple(DeviceLists.of(own, column.width, device, placement) for own, column in lists),
        )

    @property
    def placement(self) -> Location:
        """Where they live."""
        return self.values.placement

    def gather(self, nodes: Tensor) -> Tensor:
        """Codes of nodes ``[...]``: int32 ``[..., codes]``, zeros where one is absent."""
        parts = [gather(self.values, nodes, torch.int32), *(lists.gather(nodes) for lists in self.lists)]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


def code_bytes(codes: CategoryCodes) -> int:
    """What a table's codes take on a device."""
    lists = sum(8 * len(own) + 4 * len(own.values) for own in codes.lists)
    return codes.values.nbytes + lists
