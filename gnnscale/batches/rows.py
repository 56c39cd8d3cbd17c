"""Features of some rows of a table as tensors."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.schema import FeatureManifest, TableManifest
from gnnscale.store import NodeFeatures


class Tensors:
    """A data class of tensors, numbers and further such data classes, which moves to a device as one."""

    def to(self, device: torch.device) -> Self:
        """A copy with every tensor on the device; what is page-locked goes there while the host goes on."""
        return type(self)(**{f.name: _move(getattr(self, f.name), device) for f in fields(self)})  # type: ignore[arg-type]

    def pinned(self) -> Self:
        """A copy whose tensors of the host are in page-locked memory, from which a GPU takes them by itself."""
        return type(self)(**{f.name: _pin(getattr(self, f.name)) for f in fields(self)})  # type: ignore[arg-type]


@dataclass(frozen=True)
class CodeBags(Tensors):
    """The codes of each row of a multicategorical column, as ``torch.nn.EmbeddingBag`` takes them.

    Args:
        codes: int64 ``[codes]``, from 1 on.
        offsets: where each row starts, int64 ``[rows + 1]``.
    """

    codes: Tensor
    offsets: Tensor


@dataclass(frozen=True)
class RowFeatures(Tensors):
    """Encoded features of some rows, columns in the manifest's order.

    Args:
        numerical: float32 ``[rows, numerical]``.
        categorical: int64 ``[rows, categorical]``.
        multicategorical: one a column.
        embedded: of each text and embedding column, float16 ``[rows, dims]``.
    """

    numerical: Tensor
    categorical: Tensor
    multicategorical: tuple[CodeBags, ...] = ()
    embedded: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class HiddenColumns:
    """Positions of the columns that must not be seen, within the columns of their kind."""

    numerical: tuple[int, ...] = ()
    categorical: tuple[int, ...] = ()
    multicategorical: tuple[int, ...] = ()
    embedded: tuple[int, ...] = ()

    @classmethod
    def of(cls, table: TableManifest, columns: Collection[str]) -> HiddenColumns:
        """Of the columns of these names."""

        def positions(features: tuple[FeatureManifest, ...]) -> tuple[int, ...]:
            return tuple(i for i, feature in enumerate(features) if feature.column in columns)

        return cls(*(positions(getattr(table, f.name)) for f in fields(cls)))


NOTHING = HiddenColumns()


def gather_rows(features: NodeFeatures, nodes: NDArray[Any], hidden: HiddenColumns = NOTHING) -> RowFeatures:
    """Features of some nodes; those of hidden columns are as if they were missing.

    Args:
        features: of all nodes of a table.
        nodes: node ids, int ``[rows]``.
        hidden: columns that must not be seen.
    """
    numerical, categorical = np.asarray(features.numerical[nodes]), np.asarray(features.categorical[nodes])
    numerical[:, hidden.numerical] = 0
    categorical[:, hidden.categorical] = 0
    bags = []
    for index, lists in enumerate(features.multicategorical):
        if index in hidden.multicategorical:
            bags.append(CodeBags(torch.zeros(0, dtype=torch.int64), torch.zeros(len(nodes) + 1, dtype=torch.int64)))
        else:
            found = lists.take(nodes)
            bags.append(CodeBags(torch.from_numpy(found.values.astype(np.int64)), torch.from_numpy(found.indptr)))
    vectors = []
    for index, column in enumerate(features.embedded):
        blank = index in hidden.embedded
        rows = np.zeros((len(nodes), column.shape[1]), np.float16) if blank else np.asarray(column[nodes])
        vectors.append(torch.from_numpy(rows))
    return RowFeatures(
        torch.from_numpy(numerical), torch.from_numpy(categorical.astype(np.int64)), tuple(bags), tuple(vectors)
    )


def _move(value: Any, device: torch.device) -> Any:
    if isinstance(value, tuple):
        return tuple(_move(item, device) for item in value)
    if isinstance(value, Tensor):
        # Towards the host, what reads the copy would not wait for it.
        return value.to(device, non_blocking=device.type != "cpu")
    return value.to(device) if is_dataclass(value) and hasattr(value, "to") else value


def _pin(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_pin(item) for item in value)
    if isinstance(value, Tensor):
        return value.pin_memory() if value.device.type == "cpu" else value
    return value.pinned() if isinstance(value, Tensors) else value
