"""A digest of all that the model reads of each node: where it is as before, so is the node's row.

After the colour refinement of Weisfeiler and Leman: a node's digest is that of its own row, mixed with the digests of
its neighbors hop by hop, along the links that the samplers follow. Neighbors count with their place and the time of
their edge, so that equal digests mean equal samples, whatever the strategy.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import Ragged
from gnnscale.batches import ReceptiveField
from gnnscale.config import Settings
from gnnscale.inference.batch_inference import Side
from gnnscale.query import PredictiveQuery
from gnnscale.sampling import GOLDEN, UInt64, mix
from gnnscale.store import Adjacency, GraphStore, NodeFeatures
from gnnscale.training import find_network

CHUNK = 1 << 20
"""Nodes or edges that are taken at once."""

ENDED, THERE = np.uint64(1), np.uint64(2)


def receptive_field_hashes(
    settings: Settings, store: GraphStore, query: PredictiveQuery, anchor: int
) -> dict[Side, NDArray[np.uint64]]:
    """Digests of all nodes of both sides.

    Args:
        settings: section ``sampling`` counts.
        store: of the graph.
        query: bound query.
        anchor: seconds after the graph's origin.

    Returns:
        Side -> uint64 ``[nodes]``.
    """
    targets, entities = model_receptive_fields(settings, store, query)
    rows: dict[str, UInt64] = {}
    return {
        "targets": _digest(store, targets, anchor, rows),
        "entities": _digest(store, entities, anchor, rows),
    }


def model_receptive_fields(
    settings: Settings, store: GraphStore, query: PredictiveQuery
) -> tuple[ReceptiveField, ReceptiveField]:
    """What the model reads around a target, and around an entity.

    Raises:
        ConfigError: the model walks, and may read anything.
    """
    fields: tuple[ReceptiveField, ReceptiveField]
    fields = find_network(settings, query)(settings, store, query).receptive_fields()
    return fields


def _digest(store: GraphStore, reads: ReceptiveField, anchor: int, rows: dict[str, UInt64]) -> UInt64:
    """Digests of a table's nodes; ``rows`` keeps those of rows alone, which many hops share."""
    if reads.table not in rows:
        rows[reads.table] = digest_rows(store.features(reads.table), anchor)
    total = rows[reads.table]
    for edge_type, (limit, behind) in sorted(reads.hops.items(), key=lambda hop: hop[0].table_name):
        around = digest_neighbors(store.adjacency(edge_type), _digest(store, behind, anchor, rows), anchor, limit)
        with np.errstate(over="ignore"):
            total = mix(total * GOLDEN + around)
    return total


def digest_rows(features: NodeFeatures, anchor: int, chunk: int = CHUNK) -> UInt64:
    """Digest of each node by itself: its id, whether it is there, and its encoded columns, uint64 ``[nodes]``.

    Args:
        features: of the nodes' table.
        anchor: seconds after the graph's origin.
        chunk: nodes that are taken at once.
    """
    count = len(features.times)
    parts = [_rows(features, np.arange(at, min(at + chunk, count)), anchor) for at in range(0, count, chunk)]
    return np.concatenate(parts) if parts else np.zeros(0, np.uint64)


def digest_neighbors(
    adjacency: Adjacency, neighbors: UInt64, anchor: int, limit: int | None = None, chunk: int = CHUNK
) -> UInt64:
    """Digest of the edges of each source that are stamped at or before an anchor, uint64 ``[sources]``.

    Args:
        adjacency: of an edge type.
        neighbors: digest of each of its targets.
        anchor: seconds after the graph's origin.
        limit: only the latest so many edges count; default: all.
        chunk: edges that are taken at once, more where a source has more.
    """
    indptr = np.asarray(adjacency.indptr)
    found = np.zeros(len(indptr) - 1, np.uint64)
    # Consecutive sources with about so many edges together.
    bounds = np.searchsorted(indptr, np.arange(chunk, indptr[-1], chunk))
    bounds = np.unique(np.concatenate([[0], bounds, [len(found)]]))
    for low, high in pairwise(bounds):
        found[low:high] = _edges(adjacency, indptr[low : high + 1], neighbors, anchor, limit)
    return found


def _edges(
    adjacency: Adjacency, indptr: NDArray[np.int64], neighbors: UInt64, anchor: int, limit: int | None
) -> UInt64:
    part = slice(indptr[0], indptr[-1])
    offsets, times = indptr - indptr[0], np.asarray(adjacency.times[part])
    # Edges ascend in time within a source, so that those that count are the first ones.
    earlier = _segments((times <= anchor).astype(np.uint64), offsets).astype(np.int64)
    sources = np.repeat(np.arange(len(earlier)), np.diff(offsets))
    place = offsets[sources] + earlier[sources] - 1 - np.arange(len(times))  # 0 for the latest
    counts = place >= 0
    if limit is not None:
        counts &= place < limit
    with np.errstate(over="ignore"):
        value = neighbors[adjacency.neighbors[part]] + GOLDEN * times.astype(np.int64).view(np.uint64)
        value = mix(mix(value) + GOLDEN * (place.view(np.uint64) + np.uint64(1)))
        if adjacency.cumulative is not None:
            weights: UInt64 = np.diff(adjacency.cumulative[part.start : part.stop + 1])
            value = mix(value + GOLDEN * weights)
        # A sampler's draws depend on how many there are, not on those that count here alone.
        number = earlier if limit is None else np.minimum(earlier, limit)
        return mix(_segments(np.where(counts, value, np.uint64(0)), offsets) + GOLDEN * number.view(np.uint64))


def _segments(values: UInt64, offsets: NDArray[np.int64]) -> UInt64:
    """Sums of consecutive values between ``offsets``, modulo 2**64."""
    running = np.zeros(len(values) + 1, np.uint64)
    np.cumsum(values, out=running[1:])
    with np.errstate(over="ignore"):
        return running[offsets[1:]] - running[offsets[:-1]]


def _rows(features: NodeFeatures, nodes: NDArray[np.int64], anchor: int) -> UInt64:
    part = slice(int(nodes[0]), int(nodes[-1]) + 1)
    total = mix(nodes.astype(np.uint64) + GOLDEN)
    state = np.where(features.is_valid_at(nodes, anchor), THERE, np.uint64(0))
    if features.valid_until is not None:
        state = state | np.where(features.valid_until[part] <= anchor, ENDED, np.uint64(0))
    columns: list[UInt64] = [state]
    numerical = np.ascontiguousarray(features.numerical[part]).view(np.uint32)
    categorical = np.ascontiguousarray(features.categorical[part]).view(np.uint32)
    vectors: list[NDArray[Any]] = [np.ascontiguousarray(column[part]).view(np.uint16) for column in features.embedded]
    for array in (numerical, categorical, *vectors):
        columns += list(array.T.astype(np.uint64))
    with np.errstate(over="ignore"):
        for column in columns:
            total = mix(total * GOLDEN + column)
        for lists in features.multicategorical:
            total = mix(total * GOLDEN + _lists(lists, nodes))
    return total


def _lists(lists: Ragged, nodes: NDArray[np.int64]) -> UInt64:
    """Digest of the set of codes of each node."""
    found = lists.take(nodes)
    with np.errstate(over="ignore"):
        return _segments(mix(found.values.astype(np.uint64) + GOLDEN), found.indptr)
