"""Entities that predictions are wanted of."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gnnscale.arrays import key_array
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery
from gnnscale.schema import DataError


def read_keys(lake: Lake, table: str) -> pa.Array:
    """Keys of a table in order of node id."""
    rows = lake.read(f"ids_{table}").sort_by("node_id")
    return pa.concat_arrays(rows["key"].chunks)


def query_population(lake: Lake, query: PredictiveQuery, name: str) -> NDArray[np.int64] | None:
    """Node ids of the entities that predictions are wanted of: those named, of those that WHERE lets through.

    Args:
        lake: holds ids, and ``population_<name>`` where the query has a WHERE clause.
        query: bound query.
        name: of the query.

    Returns:
        Ascending int64, or None for all.

    Raises:
        DataError: a key is not one of the table's.
    """
    nodes = named_entities(lake, query)
    if query.where is None:
        return nodes
    population = np.sort(lake.read(f"population_{name}")["entity"].to_numpy())
    return population if nodes is None else np.intersect1d(nodes, population)


def named_entities(lake: Lake, query: PredictiveQuery) -> NDArray[np.int64] | None:
    """Node ids of the entities that a query names, ascending int64; None where it asks about all.

    Args:
        lake: holds ids.
        query: bound query.

    Raises:
        DataError: a key is not one of the table's.
    """
    if query.keys is None:
        return None
    keys = read_keys(lake, query.entity.name)
    wanted = key_array(query.keys, keys.type)
    if not wanted.is_valid().to_numpy(zero_copy_only=False).any():
        raise DataError(f"{query.keys[0]!r} is no {query.entity.primary_key}: those are of type {keys.type}")
    # No key of a table is null, so that what none of its keys can be is not found.
    found = pc.index_in(wanted, value_set=keys)
    missing = [key for key, known in zip(query.keys, found.is_valid().to_pylist(), strict=True) if not known]
    if missing:
        shown = ", ".join(repr(key) for key in missing[:3])
        raise DataError(
            f"{len(missing):,} of {len(query.keys):,} keys are not a {query.entity.primary_key} of "
            f"'{query.entity.name}', such as {shown}"
        )
    nodes: NDArray[np.int64] = found.to_numpy().astype(np.int64)
    return np.unique(nodes)
