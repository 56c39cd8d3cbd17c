"""Features of a table's nodes as categories: the codes of its categorical columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnscale.batches.blocks.gather import gather
from gnnscale.batches.rows import NOTHING, HiddenColumns
from gnnscale.schema import TableManifest
from gnnscale.store import GraphStore

Categories = tuple[int, ...]
"""How many each categorical column of a table has; its codes are from 1 up to that, 0 where a value is missing."""


@dataclass(frozen=True)
class CategoryCodes:
    """Categorical columns of all nodes of a table.

    Args:
        values: int32 ``[nodes, columns]``.
        categories: of each column.
    """

    values: NDArray[np.int32]
    categories: Categories


def categories_of(table: TableManifest) -> Categories:
    """Of each categorical column of a table; empty where it has none."""
    return tuple(len(feature.categories) for feature in table.categorical)


def category_codes(store: GraphStore, table: str, hidden: HiddenColumns = NOTHING) -> CategoryCodes:
    """Categorical columns of all nodes of a table.

    Args:
        store: the graph.
        table: whose nodes.
        hidden: columns that must not be seen; they are zeros.

    Returns:
        Mapped where nothing is hidden.
    """
    values, categories = store.features(table).categorical, categories_of(store.manifest.table(table))
    if hidden.categorical:
        values = np.array(values)
        values[:, hidden.categorical] = 0
    return CategoryCodes(values, categories)


def gather_codes(
    codes: Mapping[str, CategoryCodes],
    tables: Sequence[str],
    nodes: Sequence[NDArray[np.integer[Any]]],
    threads: int = 1,
) -> list[NDArray[np.int32]]:
    """Codes of the nodes of every hop.

    Args:
        codes: table -> of all its nodes; tables without categorical columns may be left out.
        tables: of every hop.
        nodes: of every hop, ``[batch, fanout 1, ..., fanout n]``, -1 where absent.
        threads: that share the nodes.

    Returns:
        Of every hop ``[batch, fanout 1, ..., fanout n, columns]``, zeros where absent; nothing at all without codes.
    """
    if not codes:
        return []
    return [
        gather(codes[table].values, slots, threads) if table in codes else without_columns(slots)
        for table, slots in zip(tables, nodes, strict=True)
    ]


def without_columns(nodes: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
    """Codes of nodes of a table without categorical columns: nodes' shape, and an axis of none."""
    return np.zeros((*nodes.shape, 0), np.int32)
