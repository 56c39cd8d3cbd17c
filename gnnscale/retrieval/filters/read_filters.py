"""Allow and deny lists from tables of the lake, by the tables' own keys."""

from __future__ import annotations

import logging

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gnnscale.arrays import Ragged, as_keys
from gnnscale.inference import read_keys
from gnnscale.lake import Lake
from gnnscale.retrieval.filters.allow_lists import AllowLists
from gnnscale.schema import DataError, nearest

log = logging.getLogger(__name__)

SHOWN = 3
"""Unknown keys that a message names."""


def find_nodes(keys: pa.ChunkedArray, known: pa.Array, table: str, column: str) -> NDArray[np.int64]:
    """Node ids of keys; unknown ones are counted and logged.

    Args:
        keys: of rows of a table, some of them null.
        known: of all nodes, in order of node id.
        table, column: where ``keys`` are from.

    Returns:
        int64 ``[keys]``; -1 where the key is unknown, -2 where it is null.

    Raises:
        DataError: keys are of another type, or none of them is known.
    """
    wanted = as_keys(keys, known.type)
    if wanted is None:
        raise DataError(f"{table}.{column} is of type {keys.type}, and the keys are of type {known.type}")
    nodes = pc.fill_null(pc.index_in(wanted, value_set=known), -1).to_numpy(zero_copy_only=False).astype(np.int64)
    null = keys.is_null(nan_is_null=True).to_numpy()
    nodes[null] = -2
    strange = np.flatnonzero(nodes == -1)
    if strange.size:
        shown = ", ".join(repr(key) for key in keys.take(pa.array(strange[:SHOWN])).to_pylist())
        if strange.size == len(nodes) - null.sum():
            raise DataError(f"no {column} of {table} is a known key, such as {shown}")
        count = f"{strange.size:,} of {len(nodes):,} rows"
        log.warning("%s: %s name an unknown %s, such as %s", table, count, column, shown)
    return nodes


def read_denied(lake: Lake, table: str, entity: str, target: str) -> tuple[Ragged, NDArray[np.bool_]]:
    """Targets that entities may not be given, from columns ``entity`` and ``target``.

    A row without an entity denies its target to all. Rows with an unknown key deny nothing, and are counted in the log.

    Args:
        lake: holds the table and the ids of both others.
        table: of the lists.
        entity, target: tables whose keys the columns hold.

    Returns:
        What each entity may not be given, and what nobody may, bool ``[targets]``.

    Raises:
        LakeError: a table is missing.
        DataError: a column is missing or of another type, no key of it is known, or a row has no target.
    """
    entities, targets, entity_count, target_count = _read_nodes(lake, table, entity, target)
    if (targets == -2).any():
        raise DataError(f"{(targets == -2).sum():,} of {len(targets):,} rows of {table} have no target to deny")
    everyone = np.zeros(target_count, np.bool_)
    everyone[targets[(entities == -2) & (targets >= 0)]] = True
    known = (entities >= 0) & (targets >= 0)
    return Ragged.from_pairs(entities[known], targets[known], entity_count), everyone


def read_allowed(lake: Lake, table: str, entity: str, target: str) -> AllowLists:
    """Targets that some entities are held to, from columns ``entity`` and ``target``.

    An entity that no row names is free. A row without a target, or with an unknown one, adds none to the list, but
    makes it one: an entity with such rows alone has an empty list.

    Args:
        lake: holds the table and the ids of both others.
        table: of the lists.
        entity, target: tables whose keys the columns hold.

    Raises:
        LakeError: a table is missing.
        DataError: a column is missing or of another type, no key of it is known, or a row has no entity.
    """
    entities, targets, entity_count, _ = _read_nodes(lake, table, entity, target)
    if (entities == -2).any():
        count = f"{(entities == -2).sum():,} of {len(entities):,} rows"
        raise DataError(f"{count} of {table} have no entity to hold to their target")
    listed = np.zeros(entity_count, np.bool_)
    listed[entities[entities >= 0]] = True
    known = (entities >= 0) & (targets >= 0)
    lists = AllowLists(Ragged.from_pairs(entities[known], targets[known], entity_count), listed)
    empty = int((listed & (lists.targets.counts == 0)).sum())
    if empty:
        log.warning("%s: %s entities have an empty allow list and get no targets", table, f"{empty:,}")
    return lists


def _read_nodes(
    lake: Lake, table: str, entity: str, target: str
) -> tuple[NDArray[np.int64], NDArray[np.int64], int, int]:
    columns = read_columns(lake, table, ["entity", "target"])
    keys = read_keys(lake, entity), read_keys(lake, target)
    names = "entity", "target"
    nodes = [find_nodes(columns[name], own, table, name) for name, own in zip(names, keys, strict=True)]
    return nodes[0], nodes[1], len(keys[0]), len(keys[1])


def read_columns(lake: Lake, table: str, columns: list[str]) -> pa.Table:
    """Some columns of a table.

    Raises:
        LakeError: there is no such table.
        DataError: it lacks a column.
    """
    names = [field.name for field in lake.open(table).schema().fields]
    missing = [name for name in columns if name not in names]
    if missing:
        raise DataError(f"table '{table}' has no column '{missing[0]}'.{nearest(missing[0], names)}")
    return lake.read(table, columns)
