"""A digest of all that the model reads of each node: where it is as before, so is the node's row.

After the colour refinement of Weisfeiler and Leman: a node's digest is that of its own row, mixed with the digests of
its neighbors hop by hop, along the links that the samplers follow. Neighbors count with their place and the time of
their edge, so that equal digests mean equal samples, whatever the strategy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import Ragged
from gnnscale.batches import link_sampling
from gnnscale.config import Settings
from gnnscale.inference.batch_inference import Side
from gnnscale.query import PredictiveQuery
from gnnscale.sampling import GOLDEN, Path, UInt64, mix, plan_paths
from gnnscale.schema import ConfigError, EdgeType
from gnnscale.store import Adjacency, GraphStore, NodeFeatures
from gnnscale.training import block_paths

CHUNK = 1 << 20
"""Nodes or edges that are taken at once."""

ENDED, THERE = np.uint64(1), np.uint64(2)


@dataclass(frozen=True)
class Reach:
    """What is read around the rows of a table.

    Args:
        table: of the rows.
        hops: edge type -> most neighbors that count, the latest, or None for all; and what is read around those.
    """

    table: str
    hops: Mapping[EdgeType, tuple[int | None, Reach]] = field(default_factory=dict)


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
    targets, entities = model_reach(settings, store, query)
    rows: dict[str, UInt64] = {}
    return {
        "targets": _digest(store, targets, anchor, rows),
        "entities": _digest(store, entities, anchor, rows),
    }


def model_reach(settings: Settings, store: GraphStore, query: PredictiveQuery) -> tuple[Reach, Reach]:
    """What the model reads around a target, and around an entity.

    Around an entity that is its neighborhood, and with two branches around each of the targets in it what is read of
    a target. Networks on blocks read no more of a target than its row.

    Raises:
        ConfigError: the model walks, and may read anything.
    """
    if settings.model.network == "blocks":
        return Reach(query.target.name), _block_reach(settings, store, query)
    sampling = link_sampling(query, settings.sampling)
    around_target = plan_paths(store.manifest, query.target.name, sampling.target_hops)
    around_entity = plan_paths(store.manifest, query.entity.name, sampling.entity_hops)
    # Targets take the latest events; of entities only the strategy `last` reads no more than the fan-out.
    targets = _reach(query.target.name, (), around_target, True, sampling.cap, {})
    last = sampling.strategy == "last"
    candidates = [
        path
        for path in around_entity
        if [edge_type.name for edge_type in path] == [query.entity_link.name, query.target_link.name]
    ]
    entities = _reach(query.entity.name, (), around_entity, last, sampling.cap, dict.fromkeys(candidates, targets))
    return targets, entities


def _block_reach(settings: Settings, store: GraphStore, query: PredictiveQuery) -> Reach:
    sampling = settings.sampling
    if sampling.strategy == "walk":
        raise ConfigError(
            "embedding.only_changed does not go with sampling.strategy=walk, whose walks may read any node; "
            "set it to false"
        )
    paths = block_paths(settings, store, query)
    return _reach(query.entity.name, (), paths, sampling.strategy == "last", sampling.cap, {})


def _reach(
    table: str, path: Path, paths: Mapping[Path, int], last: bool, cap: int | None, behind: Mapping[Path, Reach]
) -> Reach:
    hops: dict[EdgeType, tuple[int | None, Reach]] = {}
    for child, fanout in paths.items():
        if child and child[:-1] == path:
            inner = _reach(child[-1].target, child, paths, last, cap, behind)
            hops[child[-1]] = (fanout if last else cap, inner)
    own = Reach(table, hops)
    # A path may lead on from the candidates too.
    return _joined(own, behind[path]) if path in behind else own


def _joined(one: Reach, other: Reach) -> Reach:
    hops = dict(one.hops)
    for edge_type, (limit, inner) in other.hops.items():
        known, deeper = hops.get(edge_type, (limit, inner))
        hops[edge_type] = (None if known is None or limit is None else max(known, limit), _joined(deeper, inner))
    return Reach(one.table, hops)


def _digest(store: GraphStore, reach: Reach, anchor: int, rows: dict[str, UInt64]) -> UInt64:
    """Digests of a table's nodes; ``rows`` keeps those of rows alone, which many hops share."""
    if reach.table not in rows:
        rows[reach.table] = digest_rows(store.features(reach.table), anchor)
    total = rows[reach.table]
    for edge_type, (limit, behind) in sorted(reach.hops.items(), key=lambda hop: hop[0].table_name):
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
    valid_until, times = indptr - indptr[0], np.asarray(adjacency.times[part])
    # Edges ascend in time within a source, so that those that count are the first ones.
    prefetch = _segments((times <= anchor).astype(np.uint64), valid_until).astype(np.int64)
    sources = np.repeat(np.arange(len(prefetch)), np.diff(valid_until))
    place = valid_until[sources] + prefetch[sources] - 1 - np.arange(len(times))  # 0 for the latest
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
        number = prefetch if limit is None else np.minimum(prefetch, limit)
        return mix(_segments(np.where(counts, value, np.uint64(0)), valid_until) + GOLDEN * number.view(np.uint64))


def _segments(values: UInt64, valid_until: NDArray[np.int64]) -> UInt64:
    """Sums of consecutive values between ``ends``, modulo 2**64."""
    running = np.zeros(len(values) + 1, np.uint64)
    np.cumsum(values, out=running[1:])
    with np.errstate(over="ignore"):
        return running[valid_until[1:]] - running[valid_until[:-1]]


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
