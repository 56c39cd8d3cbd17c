"""Where blocks come from, as a configuration says: samples in memory, walks, or shards."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnscale.batches import (
    NOTHING,
    BlockLoader,
    CategoryCodes,
    HiddenColumns,
    ShardLoader,
    ShardReader,
    WalkLoader,
    category_codes,
    default_hops,
    dense_features,
    is_hidden,
    walk_hop,
)
from gnnscale.config import Settings
from gnnscale.query import PredictiveQuery
from gnnscale.sampling import (
    LayerNeighbors,
    MostVisited,
    Neighborhoods,
    NeighborSampler,
    Path,
    WalkedNeighbors,
    plan_paths,
)
from gnnscale.schema import ConfigError, GraphManifest, TableManifest
from gnnscale.store import GraphStore
from gnnscale.training.networks.query_walks import query_walker


def shard_source(
    settings: Settings, query: PredictiveQuery, reader: ShardReader, training: NDArray[np.int64]
) -> ShardLoader:
    """Blocks that were sampled before.

    Args:
        settings: ``sampling`` and ``training`` count.
        query: bound query.
        reader: of the shards.
        training: row numbers of the examples that an epoch takes, in the order of their labels.

    Raises:
        ConfigError: shards hold what the query hides.
        LakeError: they hold no features.
    """
    for table in reader.manifest.tables:
        if _hidden(query, table) != NOTHING:
            raise ConfigError(f"shards hold columns of '{table.name}' that the query hides; set training.source=memory")
    batch, threads = settings.training.batch_size, settings.sampling.threads
    most = _most_examples(settings, query)
    return ShardLoader(reader, None, batch, settings.seed, threads=threads, chosen=training, most=most)


def memory_source(
    settings: Settings,
    store: GraphStore,
    query: PredictiveQuery,
    seeds: tuple[NDArray[np.int64], NDArray[np.int32]] | None = None,
    training: NDArray[np.int64] | None = None,
) -> BlockLoader | WalkLoader:
    """What samples around a query's entities in memory, without what the query hides.

    Args:
        settings: ``sampling`` and ``training`` count.
        store: of the graph.
        query: bound query.
        seeds: entities and anchors of the examples; default: none, for blocks around any that are asked for.
        training: row numbers of those that an epoch takes; default: all.

    Raises:
        ConfigError: fan-outs or walks don't fit the graph or the query.
    """
    if seeds is None:
        seeds = np.zeros(0, np.int64), np.zeros(0, np.int32)
    sampling, table = settings.sampling, query.entity.name

    def features(names: set[str]) -> dict[str, NDArray[np.float32]]:
        manifests = [store.manifest.table(name) for name in sorted(names)]
        return {m.name: dense_features(store, m.name, _hidden(query, m)) for m in manifests}

    def codes(names: set[str]) -> dict[str, CategoryCodes]:
        manifests = [store.manifest.table(name) for name in sorted(names)]
        return {
            m.name: category_codes(store, m.name, _hidden(query, m))
            for m in manifests
            if m.categorical or m.multicategorical
        }

    order: dict[str, Any] = {
        "batch_size": settings.training.batch_size,
        "seed": settings.seed,
        "chosen": training,
        "most": _most_examples(settings, query),
    }
    if sampling.strategy == "walk":
        walker = query_walker(settings, store, query)
        tables = {table, walker.target}
        return WalkLoader(walker, features(tables), *seeds, codes=codes(tables), **order)
    sampler = NeighborSampler(
        store,
        _hops(settings, query),
        sampling.neighbors,
        settings.seed,
        table,
        cap=sampling.cap,
        threads=sampling.threads,
    )
    sampler.paths = block_paths(settings, store.manifest, query)
    tables = {table, *(p[-1].target for p in sampler.paths)}
    return BlockLoader(sampler, features(tables), *seeds, codes=codes(tables), **order)


def layer_paths(settings: Settings, store: GraphStore, query: PredictiveQuery) -> tuple[Path, ...]:
    """Paths whose ends layers are computed of, shorter ones first: of blocks, or one walked hop after the other."""
    if settings.sampling.strategy != "walk":
        return tuple(block_paths(settings, store.manifest, query))
    hop = walk_hop(query_walker(settings, store, query))
    return tuple((hop,) * depth for depth in range(1, settings.model.pinsage.layers + 1))


def layer_neighbors(settings: Settings, store: GraphStore, query: PredictiveQuery) -> LayerNeighbors:
    """Which neighbors layers read: those that the sampler takes, by its strategy, up to the widest fan-out that a hop
    has along an edge type, so that a node has one state, from wherever it is reached; or those that walks visit most.
    """
    sampling = settings.sampling
    if sampling.strategy == "walk":
        return WalkedNeighbors(MostVisited(query_walker(settings, store, query)))
    fanouts: dict[str, int] = {}
    for path, fanout in block_paths(settings, store.manifest, query).items():
        fanouts[path[-1].name] = max(fanout, fanouts.get(path[-1].name, 0))
    return Neighborhoods(fanouts, sampling.neighbors, settings.seed, sampling.cap)


def block_paths(settings: Settings, manifest: GraphManifest, query: PredictiveQuery) -> dict[Path, int]:
    """Paths of the blocks around a query's entities with their fan-outs; what the query hides is not followed."""
    hops = _hops(settings, query)
    paths = plan_paths(manifest, query.entity.name, hops)
    return {path: fanout for path, fanout in paths.items() if not is_hidden(path, query, manifest)}


def _hops(settings: Settings, query: PredictiveQuery) -> tuple[dict[str, int], ...]:
    chosen = settings.sampling.entity_hops
    return chosen or default_hops(query.graph, query.entity.name, hidden_tables=query.hidden_tables)


def _most_examples(settings: Settings, query: PredictiveQuery) -> int | None:
    """Of an epoch: the configuration bounds those of node-level tasks."""
    return None if query.task_type.predicts_links else settings.training.max_examples


def _hidden(query: PredictiveQuery, table: TableManifest) -> HiddenColumns:
    """The columns of a table that the query does not let be seen."""
    return HiddenColumns.of(table, {column for name, column in query.hidden_columns if name == table.name})
