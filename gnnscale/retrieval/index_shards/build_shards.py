"""Indexes of all shards of a query's targets, built where they are and measured together."""

from __future__ import annotations

import logging
import time
from functools import partial
from pathlib import Path

from gnnscale.config import Settings
from gnnscale.inference import read_keys
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery
from gnnscale.retrieval.embeddings import count_vectors, read_sample
from gnnscale.retrieval.index.metric import Metric
from gnnscale.retrieval.index.recall import Sample, reach_recall
from gnnscale.retrieval.index.saved import IndexManifest, index_path, write_manifest
from gnnscale.retrieval.index_shards.index_shard import ShardSource, TargetShard, shard_bounds, shard_bytes
from gnnscale.retrieval.index_shards.shard_pool import StartShards
from gnnscale.retrieval.index_shards.sharded_search import EveryShard, ShardedIndex, Shards

log = logging.getLogger(__name__)


def build_sharded_index(
    settings: Settings, lake: Lake, query: PredictiveQuery, anchor: int, start_workers: StartShards
) -> IndexManifest:
    """Index the targets of one anchor (epoch seconds) in ``retrieval.index.shards`` stretches of equal length.

    What suits one stretch suits all, so that the first chooses. The recall is that of all together, and so is the
    width of the search: a target that one shard misses is missed by the whole.

    Returns:
        The manifest of the whole, which is written last: what has none is no index.

    Raises:
        LakeError, DataError: embeddings are missing or broken, or the recall is below what is asked for and is not to
            be raised.
        GnnscaleError: there is no room for so many processes, or too many were lost.
    """
    started = time.monotonic()
    wanted, entities = settings.retrieval.index, len(read_keys(lake, query.entity.name))
    queries = read_sample(lake, query.entity_embeddings, anchor, entities, wanted.sample, settings.seed)
    bounds = shard_bounds(count_vectors(lake, query.target.name, anchor), wanted.shards)
    sources = shard_sources(settings, lake, query.target.name, anchor, bounds, Metric(wanted.metric))
    needed = shard_bytes(max(stop - start for start, stop in bounds), queries.shape[1])
    with start_workers([source.read for source in sources], needed) as pool:
        shards = Shards(pool, bounds, queries.shape[1])
        sample = Sample(queries, EveryShard(shards).search(queries, query.top_k))
        choose = partial(TargetShard.choose, wanted=wanted, queries=entities, seed=settings.seed)
        setting = pool.ask({0: choose})[0]
        build = partial(ShardedIndex.build, shards)
        index, recall = reach_recall(build, setting, sample, wanted.recall, wanted.escalate)
        seconds = round(time.monotonic() - started, 2)
        save = partial(TargetShard.save, setting=index.asked, recall=recall, seconds=seconds)
        # Shards of another number are not to lie beside these.
        lake.remove_folder(index_path(settings.query.name, anchor))
        saved = shards.ask_all(save)
    files = {f"shard-{n}/{name}": file for n, shard in enumerate(saved) for name, file in shard.files.items()}
    table, sizes = f"embeddings_{query.target.name}", tuple(shard.size for shard in saved)
    manifest = IndexManifest(
        index.setting, index.size, index.channels, table, sources[0].version, anchor, recall, seconds, files, sizes
    )
    write_manifest(lake, index_path(settings.query.name, anchor), manifest)
    log.info("index of %s: %d of %s, %s", table, len(sizes), index.setting.in_words(), recall)
    return manifest


def shard_sources(
    settings: Settings, lake: Lake, table: str, anchor: int, bounds: list[tuple[int, int]], metric: Metric
) -> list[ShardSource]:
    """Where each stretch of the targets (node ids of ``table``) is read from and kept."""
    # Other processes have a working folder of their own.
    cache = str(Path(settings.lake.cache).absolute()) if settings.lake.cache else None
    version = lake.version(f"embeddings_{table}")
    return [
        ShardSource(lake, settings.query.name, table, version, anchor, metric, number, start, stop, cache)
        for number, (start, stop) in enumerate(bounds)
    ]
