"""The index stage: target vectors of a query at its anchors, indexed, measured and kept in the lake."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gnnscale.config import Settings
from gnnscale.inference import read_keys
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery
from gnnscale.retrieval.embeddings import read_some_vectors, read_vectors
from gnnscale.retrieval.index import IndexKind, IndexSetting, Metric
from gnnscale.retrieval.index.audit import Sample, build_for_recall, exact_neighbors
from gnnscale.retrieval.index.choose import Workload, choose_setting
from gnnscale.retrieval.index.saved import IndexManifest, building_folder, save_index

log = logging.getLogger(__name__)

VECTORS = "targets.npy"
"""File of the target vectors in order of node id, beside the index."""


def build_query_indexes(
    settings: Settings, lake: Lake, query: PredictiveQuery, anchors: Sequence[int]
) -> list[IndexManifest]:
    """Index the targets of each anchor (epoch seconds).

    Args:
        settings: section ``retrieval.index`` counts.
        lake: holds the embeddings, and gets the indexes.
        query: bound query.

    Raises:
        LakeError, DataError: embeddings are missing or broken, or the recall is below what is asked for and is not to
            be raised.
    """
    return [build_query_index(settings, lake, query, anchor) for anchor in dict.fromkeys(anchors)]


def build_query_index(settings: Settings, lake: Lake, query: PredictiveQuery, anchor: int) -> IndexManifest:
    """Index the targets of one anchor; see :func:`build_query_indexes`."""
    started = time.monotonic()
    folder = building_folder(lake, settings.query.name, anchor, settings.lake.cache)
    table = f"embeddings_{query.target.name}"
    version = lake.version(table)
    vectors = read_vectors(lake, query.target.name, anchor, folder / VECTORS)
    entities = len(read_keys(lake, query.entity.name))
    setting = first_setting(settings, vectors, entities)
    sample = _sample(settings, lake, query, anchor, vectors, entities)
    wanted = settings.retrieval.index
    index, recall = build_for_recall(vectors, setting, sample, wanted.recall, folder, wanted.escalate)
    seconds = round(time.monotonic() - started, 2)
    manifest = IndexManifest(index.setting, index.size, index.channels, table, version, anchor, recall, seconds)
    log.info("index of %s: %s of effort %d, %s", table, index.setting.kind, index.setting.effort, recall)
    return save_index(lake, settings.query.name, index, manifest, folder)


def first_setting(settings: Settings, vectors: NDArray[np.float32], queries: int) -> IndexSetting:
    """What the configuration says of an index, and what suits the machine where it says nothing."""
    wanted = settings.retrieval.index
    memory = None if wanted.memory_gb == "auto" else wanted.memory_gb
    workload = Workload.here(len(vectors), vectors.shape[1], queries, memory)
    kind = None if wanted.kind == "auto" else IndexKind(wanted.kind)
    setting = choose_setting(workload, Metric(wanted.metric), kind, wanted.device)
    setting = replace(setting, precision=wanted.precision, seed=settings.seed)
    if wanted.lists != "auto":
        setting = replace(setting, lists=wanted.lists)
    return setting if wanted.effort == "auto" else replace(setting, effort=wanted.effort)


def index_folder_vectors(folder: Path) -> NDArray[np.float32]:
    """Vectors beside a saved index, in order of node id, mapped."""
    vectors: NDArray[np.float32] = np.load(folder / VECTORS, mmap_mode="r")
    return vectors


def _sample(
    settings: Settings, lake: Lake, query: PredictiveQuery, anchor: int, vectors: NDArray[np.float32], entities: int
) -> Sample:
    rows = np.random.default_rng(settings.seed).permutation(entities)[: settings.retrieval.index.sample]
    queries = read_some_vectors(lake, query.entity.name, anchor, np.sort(rows))
    metric = Metric(settings.retrieval.index.metric)
    return Sample(queries, exact_neighbors(vectors, queries, query.places, metric))
