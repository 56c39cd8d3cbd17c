"""The indexed targets of an anchor, open for searches: in this process, or in those of their shards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from gnnscale.config import Settings
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery
from gnnscale.retrieval.index.metric import Metric
from gnnscale.retrieval.index.neighbors import Neighbors
from gnnscale.retrieval.index.recall import exact_neighbors
from gnnscale.retrieval.index.saved import IndexManifest, current_manifest, load_index
from gnnscale.retrieval.index_shards.build_shards import shard_sources
from gnnscale.retrieval.index_shards.index_shard import shard_bytes
from gnnscale.retrieval.index_shards.shard_pool import StartShards
from gnnscale.retrieval.index_shards.sharded_search import EveryShard, ShardedIndex, ShardedVectors, Shards
from gnnscale.retrieval.ranking.allowed_search import VectorIndex
from gnnscale.retrieval.ranking.tower import TargetVectors, VectorScores
from gnnscale.schema import ConfigError


@dataclass(frozen=True, eq=False)
class Targets:
    """What searches ask.

    Args:
        index: as it was saved.
        every: scores every target.
        vectors: of the targets, for scores of single ones.
        manifest: of the index.
    """

    index: VectorIndex
    every: VectorIndex
    vectors: VectorScores
    manifest: IndexManifest


@contextmanager
def open_targets(
    settings: Settings, lake: Lake, query: PredictiveQuery, anchor: int, start_workers: StartShards | None = None
) -> Iterator[Targets]:
    """Open the index that was built of a query's targets at an anchor (epoch seconds).

    Args:
        settings: names the query.
        lake: holds the index.
        query: bound query.
        anchor: epoch seconds.
        start_workers: starts processes, for an index of several shards.

    Raises:
        ConfigError: the index is in several shards, and there is nothing to start processes by.
        LakeError: there is no index, or it is broken or out of date.
        GnnscaleError: there is no room for the shards' processes.
    """
    manifest = current_manifest(lake, settings.query.name, anchor)
    metric = manifest.setting.metric
    if not manifest.shards:
        loaded = load_index(lake, settings.query.name, anchor, settings.lake.cache)
        vectors = TargetVectors(loaded.vectors, metric.value)
        yield Targets(loaded.index, EveryTarget(vectors), vectors, manifest)
        return
    if start_workers is None:
        raise ConfigError(
            f"the index of query '{settings.query.name}' is in {len(manifest.shards)} shards, which need Ray to hold "
            "them; run the retrieve stage"
        )
    bounds = list(pairwise(accumulate(manifest.shards, initial=0)))
    sources = shard_sources(settings, lake, query.target.name, anchor, bounds, metric)
    opens = [partial(source.load, manifest.setting) for source in sources]
    with start_workers(opens, shard_bytes(max(manifest.shards), manifest.channels)) as pool:
        shards = Shards(pool, bounds, manifest.channels)
        index = ShardedIndex(shards, manifest.setting, manifest.setting)
        yield Targets(index, EveryShard(shards), ShardedVectors(shards), manifest)


@dataclass(frozen=True, eq=False)
class EveryTarget:
    """Scores every target, without an index.

    Args:
        vectors: of the targets, in memory or mapped.
    """

    vectors: TargetVectors

    @property
    def size(self) -> int:
        """Number of targets."""
        return self.vectors.shape[0]

    @property
    def channels(self) -> int:
        """Channels of a vector."""
        return self.vectors.shape[1]

    def search(self, queries: NDArray[np.float32], k: int) -> Neighbors:
        """The best of all targets, ``[queries, k]``."""
        return exact_neighbors(self.vectors.values, queries, k, Metric(self.vectors.metric))
