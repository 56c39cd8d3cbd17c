"""Features of a table's nodes as categories: the codes of its categorical and multicategorical columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import Ragged, share_rows
from gnnscale.batches.blocks.gather import gather
from gnnscale.batches.rows import NOTHING, HiddenColumns
from gnnscale.schema import TableManifest
from gnnscale.store import GraphStore


@dataclass(frozen=True)
class ListColumn:
    """A multicategorical column, of which a node has several codes.

    Args:
        categories: how many it has.
        width: codes that a node's list is padded to with zeros: as many as the longest list has, and at least one.
    """

    categories: int
    width: int


Categories = tuple[int | ListColumn, ...]
"""Of a table's columns: how many categories a categorical one has, then those of several values. Codes are from 1 up to
that number, 0 where a value is missing."""


@dataclass(frozen=True)
class CategoryCodes:
    """Categorical and multicategorical columns of all nodes of a table.

    Args:
        values: of the categorical ones, int32 ``[nodes, columns]``.
        categories: of each column.
        lists: of the multicategorical ones, in the order of their categories.
    """

    values: NDArray[np.int32]
    categories: Categories
    lists: tuple[Ragged, ...] = ()

    @property
    def list_columns(self) -> tuple[ListColumn, ...]:
        """Those of several values."""
        return tuple(column for column in self.categories if isinstance(column, ListColumn))

    def gather(self, nodes: NDArray[np.integer[Any]], threads: int = 1) -> NDArray[np.int32]:
        """Codes of nodes ``[...]``: one a categorical column, then each list; zeros where a node is absent.

        Returns:
            int32 ``[..., codes]``.
        """
        parts = [gather(self.values, nodes, threads)]
        for lists, column in zip(self.lists, self.list_columns, strict=True):
            parts.append(_gather_lists(lists, nodes, column.width, threads))
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)


def categories_of(table: TableManifest, widths: Sequence[int]) -> Categories:
    """Of the categorical and multicategorical columns of a table; empty where it has neither.

    Args:
        table: its manifest.
        widths: what the lists of each multicategorical column are padded to.
    """
    lists = zip(table.multicategorical, widths, strict=True)
    plain = tuple(len(feature.categories) for feature in table.categorical)
    return plain + tuple(ListColumn(len(feature.categories), width) for feature, width in lists)


def category_codes(store: GraphStore, table: str, hidden: HiddenColumns = NOTHING) -> CategoryCodes:
    """Categorical and multicategorical columns of all nodes of a table.

    Args:
        store: the graph.
        table: whose nodes.
        hidden: columns that must not be seen; they are zeros.

    Returns:
        Mapped where nothing is hidden.
    """
    features, rows = store.features(table), store.node_count(table)
    values = features.categorical
    if hidden.categorical:
        values = np.array(values)
        values[:, hidden.categorical] = 0
    empty = Ragged(np.zeros(rows + 1, np.int64), np.zeros(0, np.int32), checked=False)
    lists = tuple(empty if i in hidden.multicategorical else own for i, own in enumerate(features.multicategorical))
    widths = [max(1, int(own.counts.max(initial=0))) for own in lists]
    return CategoryCodes(values, categories_of(store.manifest.table(table), widths), lists)


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
        Of every hop ``[batch, fanout 1, ..., fanout n, codes]``, zeros where absent; nothing at all without codes.
    """
    if not codes:
        return []
    return [
        codes[table].gather(slots, threads) if table in codes else without_columns(slots)
        for table, slots in zip(tables, nodes, strict=True)
    ]


def copied_codes(kinds: Mapping[str, NDArray[Any]], nodes: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
    """Codes of the nodes of a shard into which features were copied, as :meth:`CategoryCodes.gather` has them.

    Args:
        kinds: ``cat`` and ``lists`` -> int32 ``[examples, fan-out 1, ..., width]``; either may be missing.
        nodes: ``[examples, fan-out 1, ...]``, -1 where absent.
    """
    found = [kinds[kind] for kind in ("cat", "lists") if kind in kinds]
    if len(found) < 2:
        return found[0] if found else without_columns(nodes)
    return np.concatenate(found, axis=-1)


def without_columns(nodes: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
    """Codes of nodes of a table without categorical columns: nodes' shape, and an axis of none."""
    return np.zeros((*nodes.shape, 0), np.int32)


def _gather_lists(lists: Ragged, nodes: NDArray[np.integer[Any]], width: int, threads: int) -> NDArray[np.int32]:
    """Lists of nodes ``[...]``, padded: int32 ``[..., width]``, zeros where a node is absent."""
    flat = nodes.reshape(-1)
    found = np.zeros((len(flat), width), np.int32)

    def fill(rows: slice) -> None:
        there = np.flatnonzero(flat[rows] >= 0)
        found[rows][there] = lists.padded(flat[rows][there], width)

    share_rows(len(flat), threads, fill)
    return found.reshape(*nodes.shape, width)
