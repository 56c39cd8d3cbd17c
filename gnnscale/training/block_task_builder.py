"""The block task that a configuration asks for: samples in memory, walks, or shards, with or without links."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gnnscale.batches import (
    NOTHING,
    BlockLoader,
    BlockSource,
    CategoryCodes,
    Examples,
    HiddenPlaces,
    ShardLoader,
    ShardReader,
    WalkLoader,
    category_codes,
    default_hops,
    dense_features,
    examples_of,
    is_hidden,
    label_values,
    read_answer_shape,
    read_labels,
)
from gnnscale.config import Settings, WalkSettings
from gnnscale.lake import Lake
from gnnscale.nn import BlockTowers, ProcessGroup, build_lookup
from gnnscale.query import PredictiveQuery, Split
from gnnscale.sampling import (
    Negative,
    NegativeRule,
    NeighborSampler,
    Path,
    WalkRule,
    WalkSampler,
    build_negatives,
    plan_paths,
)
from gnnscale.schema import ConfigError, DataError, TableManifest
from gnnscale.store import GraphStore
from gnnscale.training.block_link_task import BlockLinks, BlockLinkTask
from gnnscale.training.block_source import place_source
from gnnscale.training.block_task import BlockLabels, BlockTask, build_network
from gnnscale.training.distributed_context import DistributedContext
from gnnscale.training.task import TrainingTask


def build_block_task(
    settings: Settings, lake: Lake, store: GraphStore, query: PredictiveQuery, place: DistributedContext | None = None
) -> TrainingTask:
    """Examples, network of convolutions on blocks, and objective of a query.

    Args:
        settings: names the query; ``sampling``, ``model`` and ``training`` count.
        lake: holds its labels, and its shards where ``training.source`` is ``shards``.
        store: of the graph.
        query: bound query.
        place: of this process.

    Raises:
        LakeError: labels or shards are missing.
        DataError: a split is empty.
        ConfigError: sampling, walks, negatives or loss don't fit the query.
    """
    place = place or DistributedContext()
    name, link = settings.query.name, query.task_type.predicts_links
    reader = ShardReader(lake, name) if settings.training.source == "shards" else None
    table = read_labels(lake, name) if reader is None else reader.labels()
    examples = examples_of(table, store.manifest.origin, link)
    chosen = {}
    for split in (Split.TRAIN, Split.VALIDATION):
        rows = np.flatnonzero(np.array(table["split"].to_pylist()) == str(split))
        # An example without a target has nothing that a link could be learned from.
        chosen[split] = rows[np.diff(examples.indptr)[rows] > 0] if link and split == Split.TRAIN else rows
        if len(chosen[split]) == 0:
            raise DataError(f"labels_{name} holds no {split} example")
    training, validation = chosen[Split.TRAIN], chosen[Split.VALIDATION]
    if reader is not None:
        source: BlockSource = _shards(settings, query, reader, training)
    else:
        loader = memory_source(settings, store, query, examples, training)
        source = place_source(loader, settings.training, place.device) if isinstance(loader, BlockLoader) else loader
    if not link:
        shape = read_answer_shape(lake, name)
        return BlockTask(settings, source, BlockLabels(shape, label_values(table["target"], shape), validation), place)
    counts = np.bincount(examples.take(training).targets, minlength=store.node_count(query.target.name))
    negatives = _negatives(settings, store, query, counts)
    links = BlockLinks(examples, validation, store.features(query.target.name))
    model = build_towers(settings, store, query, source, ProcessGroup(place.rank, place.workers, place.device))
    return BlockLinkTask(settings, source, links, model, negatives, place)


def _shards(
    settings: Settings, query: PredictiveQuery, reader: ShardReader, training: NDArray[np.int64]
) -> ShardLoader:
    for table in reader.manifest.tables:
        if _hidden(query, table) != NOTHING:
            raise ConfigError(f"shards hold columns of '{table.name}' that the query hides; set training.source=memory")
    if settings.sampling.strategy == "walk":
        raise ConfigError("sampling.strategy=walk samples in memory; with it, training.source is memory")
    batch, threads = settings.training.batch_size, settings.sampling.threads
    most = _most_examples(settings, query)
    return ShardLoader(reader, None, batch, settings.seed, threads=threads, chosen=training, most=most)


def memory_source(
    settings: Settings,
    store: GraphStore,
    query: PredictiveQuery,
    examples: Examples | None = None,
    training: NDArray[np.int64] | None = None,
) -> BlockLoader | WalkLoader:
    """What samples around a query's entities in memory, without what the query hides.

    Args:
        settings: ``sampling`` and ``training`` count.
        store: of the graph.
        query: bound query.
        examples: whose entities and anchors; default: none, for blocks around any that are asked for.
        training: row numbers of those that an epoch takes; default: all.

    Raises:
        ConfigError: fan-outs or walks don't fit the graph or the query.
    """
    if examples is None:
        examples = Examples.unlabelled(np.zeros(0, np.int64), 0)
    seeds = examples.entities, examples.anchors
    sampling, table = settings.sampling, query.entity.name

    def features(names: set[str]) -> dict[str, NDArray[np.float32]]:
        manifests = [store.manifest.table(name) for name in sorted(names)]
        return {m.name: dense_features(store, m.name, _hidden(query, m)) for m in manifests}

    def codes(names: set[str]) -> dict[str, CategoryCodes]:
        manifests = [store.manifest.table(name) for name in sorted(names)]
        return {m.name: category_codes(store, m.name, _hidden(query, m)) for m in manifests if m.categorical}

    order: dict[str, Any] = {
        "batch_size": settings.training.batch_size,
        "seed": settings.seed,
        "chosen": training,
        "most": _most_examples(settings, query),
    }
    if sampling.strategy == "walk":
        if sampling.walks is None:
            raise ConfigError("sampling.strategy=walk needs sampling.walks, whose cycle begins at the query's entity")
        if settings.training.sampler == "gpu":
            raise ConfigError("sampling.strategy=walk walks on the CPU; with it, training.sampler is auto or cpu")
        walker = _walker(settings, store, sampling.walks, table)
        if is_hidden(walker.path, query, store.manifest):
            raise ConfigError(f"sampling.walks.cycle={','.join(sampling.walks.cycle)} follows what the query hides")
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
    sampler.paths = block_paths(settings, store, query)
    tables = {table, *(p[-1].target for p in sampler.paths)}
    return BlockLoader(sampler, features(tables), *seeds, codes=codes(tables), **order)


def block_paths(settings: Settings, store: GraphStore, query: PredictiveQuery) -> dict[Path, int]:
    """Paths of the blocks around a query's entities with their fan-outs; what the query hides is not followed."""
    hops = _hops(settings, query)
    paths = plan_paths(store.manifest, query.entity.name, hops)
    return {path: fanout for path, fanout in paths.items() if not is_hidden(path, query, store.manifest)}


def _hops(settings: Settings, query: PredictiveQuery) -> tuple[dict[str, int], ...]:
    chosen = settings.sampling.entity_hops
    return chosen or default_hops(query.graph, query.entity.name, hidden_tables=query.hidden_tables)


def _most_examples(settings: Settings, query: PredictiveQuery) -> int | None:
    """Of an epoch: the configuration bounds those of entity tasks."""
    return None if query.task_type.predicts_links else settings.training.max_examples


def _hidden(query: PredictiveQuery, table: TableManifest) -> HiddenPlaces:
    """The columns of a table that the query does not let be seen."""
    return HiddenPlaces.of(table, {column for name, column in query.hidden_columns if name == table.name})


def _walker(settings: Settings, store: GraphStore, walks: WalkSettings, table: str) -> WalkSampler:
    rule = WalkRule(walks.number, walks.length, walks.top, walks.step, walks.restart, settings.sampling.cap)
    return WalkSampler(store, walks.cycle, rule, settings.seed, table, threads=settings.sampling.threads)


def _negatives(settings: Settings, store: GraphStore, query: PredictiveQuery, counts: NDArray[np.int64]) -> Negative:
    training, target = settings.training, query.target.name
    rule = NegativeRule(training.negative_strategy, training.negatives, training.negative_power, training.hard_ranks)
    walker = None
    if training.negative_strategy == "hard":
        if training.hard_walks is None:
            raise ConfigError(
                "training.negative_strategy=hard needs training.hard_walks, whose cycle goes from the query's target "
                f"'{target}' to itself"
            )
        walker = _walker(settings, store, training.hard_walks, target)
    features = store.features(target)
    return build_negatives(rule, counts, features, settings.seed, walker, threads=settings.sampling.threads)


def build_towers(
    settings: Settings,
    store: GraphStore,
    query: PredictiveQuery,
    source: BlockSource,
    group: ProcessGroup | None = None,
) -> BlockTowers:
    """The network of a link task, with fresh weights.

    Args:
        settings: section ``model`` and the seed count.
        store: of the graph.
        query: bound query.
        source: of blocks around entities.
        peers: processes that train together; default: all tables are plain, as in a model file.
    """
    model, target = settings.model, store.manifest.table(query.target.name)
    torch.manual_seed(settings.seed)
    entity = build_network(settings, source, model.tower_channels)
    lookup = build_lookup(settings, target.rows, group)
    return BlockTowers(entity, target, model.tower_channels, model.target_embedding, lookup, model.new_targets)
