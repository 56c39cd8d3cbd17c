"""The index stage: target vectors of a query at its anchors, indexed, measured and kept in the lake."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

from gnnscale.config import Settings
from gnnscale.inference import read_keys
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery, show_time
from gnnscale.retrieval.embeddings import read_sample, read_vectors
from gnnscale.retrieval.index.choose import Workload, configured_setting
from gnnscale.retrieval.index.installed_faiss import log_faiss
from gnnscale.retrieval.index.metric import Metric
from gnnscale.retrieval.index.recall import Sample, build_for_recall, exact_neighbors
from gnnscale.retrieval.index.saved import VECTORS, IndexManifest, building_folder, save_index
from gnnscale.retrieval.index_shards.build_shards import build_sharded_index
from gnnscale.retrieval.index_shards.shard_pool import StartShards
from gnnscale.schema import ConfigError

log = logging.getLogger(__name__)


def build_query_indexes(
    settings: Settings,
    lake: Lake,
    query: PredictiveQuery,
    anchors: Sequence[int],
    start_workers: StartShards | None = None,
) -> list[IndexManifest]:
    """Index the targets of each anchor (epoch seconds).

    Args:
        settings: section ``retrieval.index`` counts.
        lake: holds the embeddings, and gets the indexes.
        query: bound query.
        start_workers: starts processes, for an index of several shards.

    Raises:
        ConfigError: there are to be several shards, and nothing to start processes by.
        LakeError, DataError: embeddings are missing or broken, or the recall is below what is asked for and is not to
            be raised.
    """
    log_faiss()
    shards = settings.retrieval.index.shards
    if shards > 1 and start_workers is None:
        raise ConfigError(f"retrieval.index.shards={shards} needs Ray to hold them; run the index stage")
    if shards > 1 and start_workers is not None:
        return [build_sharded_index(settings, lake, query, anchor, start_workers) for anchor in dict.fromkeys(anchors)]
    return [build_query_index(settings, lake, query, anchor) for anchor in dict.fromkeys(anchors)]


def build_query_index(settings: Settings, lake: Lake, query: PredictiveQuery, anchor: int) -> IndexManifest:
    """Index the targets of one anchor; see :func:`build_query_indexes`."""
    with building_folder(lake, settings.query.name, settings.lake.cache) as folder:
        return _build_in(folder, settings, lake, query, anchor)


def _build_in(folder: Path, settings: Settings, lake: Lake, query: PredictiveQuery, anchor: int) -> IndexManifest:
    started = time.monotonic()
    table = f"embeddings_{query.target.name}"
    version = lake.version(table)
    vectors = read_vectors(lake, query.target.name, anchor, folder / VECTORS, version=version)
    entities, wanted = len(read_keys(lake, query.entity.name)), settings.retrieval.index
    memory = None if wanted.memory_gb == "auto" else wanted.memory_gb
    workload = Workload.here(len(vectors), vectors.shape[1], entities, memory)
    setting = configured_setting(wanted, workload, settings.seed)
    queries = read_sample(lake, query.entity_embeddings, anchor, entities, wanted.sample, settings.seed)
    sample = Sample(queries, exact_neighbors(vectors, queries, query.top_k, Metric(wanted.metric)))
    index, recall = build_for_recall(vectors, setting, sample, wanted.recall, folder, wanted.escalate)
    seconds = round(time.monotonic() - started, 2)
    manifest = IndexManifest(index.setting, index.size, index.channels, table, version, anchor, recall, seconds)
    log.info("index of %s at %s: %s, %s", table, show_time(anchor), index.setting.in_words(), recall)
    return save_index(lake, settings.query.name, index, manifest, folder)
