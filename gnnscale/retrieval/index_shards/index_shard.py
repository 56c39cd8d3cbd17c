"""One stretch of targets: its vectors, mapped from a local disk, and its index."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import Ragged
from gnnscale.config import IndexSettings
from gnnscale.lake import Lake
from gnnscale.retrieval.embeddings import read_vectors
from gnnscale.retrieval.index.choose import Workload, configured_setting
from gnnscale.retrieval.index.kind import SavedIndex
from gnnscale.retrieval.index.make_index import build_index
from gnnscale.retrieval.index.metric import Metric
from gnnscale.retrieval.index.neighbors import Neighbors
from gnnscale.retrieval.index.recall import Recall, exact_neighbors
from gnnscale.retrieval.index.saved import (
    VECTORS,
    IndexManifest,
    building_folder,
    load_index,
    save_index,
    saved_vectors,
)
from gnnscale.retrieval.index.setting import IndexSetting
from gnnscale.retrieval.ranking.tower import Block, TargetVectors

log = logging.getLogger(__name__)

PROCESS_BYTES = 600_000_000
"""Memory of a process that holds a shard of nothing: libraries, and a question and its answer."""


@dataclass(frozen=True)
class ShardSource:
    """Where a stretch of targets comes from, and is kept.

    Args:
        lake: holds the embeddings and the index.
        query: its name.
        table: of the targets.
        version: of ``embeddings_<table>``.
        anchor: epoch seconds.
        metric: of the scores.
        number: of the shard.
        start, stop: node ids from ``start`` up to, not including, ``stop``.
        cache: folder on a local disk of each machine; None for one in the lake, or the system's.
    """

    lake: Lake
    query: str
    table: str
    version: int
    anchor: int
    metric: Metric
    number: int
    start: int
    stop: int
    cache: str | None = None

    def read(self, threads: int) -> TargetShard:
        """The stretch without an index, read from the embeddings.

        Raises:
            LakeError, DataError: embeddings are missing or broken.
        """
        room = ExitStack()
        folder = room.enter_context(building_folder(self.lake, self.query, self.cache, self.number))
        nodes = self.start, self.stop
        read_vectors(self.lake, self.table, self.anchor, folder / VECTORS, nodes, self.version)
        return TargetShard(self, saved_vectors(folder), threads, folder, room)

    def load(self, setting: IndexSetting, threads: int) -> TargetShard:
        """The stretch with the index that was saved.

        Args:
            setting: of all shards, as their manifest has it.
            threads: that search.

        Raises:
            LakeError: files are missing, or the embeddings have been written again since.
        """
        loaded = load_index(self.lake, self.query, self.anchor, self.cache, self.number, threads)
        built_by = setting.at_width(1)
        return TargetShard(self, loaded.vectors, threads, index=loaded.index, built_by=built_by)


class TargetShard:
    """Answers for its own targets, by the ids that they have among all.

    Every question says by what setting the index is to have been built and is to be searched. A process that took a
    lost one's place then builds what it needs, and answers as that one would have.

    Args:
        source: the stretch.
        vectors: of the stretch, mapped, float32 ``[targets, channels]``.
        threads: that work.
        folder: holds the vectors, and gets the files of an index; None where the index is one that was saved.
        room: keeps the folder while the shard is there.
        index: of the stretch; None until one is asked for.
        built_by: what it was asked for by.
    """

    def __init__(
        self,
        source: ShardSource,
        vectors: NDArray[np.float32],
        threads: int,
        folder: Path | None = None,
        room: ExitStack | None = None,
        index: SavedIndex | None = None,
        built_by: IndexSetting | None = None,
    ) -> None:
        self.source, self.threads, self.folder, self._room = source, threads, folder, room
        self.vectors = TargetVectors(vectors, source.metric.value)
        self._index, self._built_by = index, built_by

    def choose(self, wanted: IndexSettings, queries: int, seed: int) -> IndexSetting:
        """What the configuration says of an index of so many targets, and what suits this machine beside it.

        Args:
            wanted: section ``retrieval.index``; its memory is that of all shards together.
            queries: that will be asked, over all.
            seed: of the run.
        """
        memory = None if wanted.memory_gb == "auto" else wanted.memory_gb / wanted.shards
        rows, channels = self.vectors.shape
        here = Workload.here(rows, channels, queries, memory)
        # Other shards may be on this machine, too.
        share = self.threads / here.cores if memory is None else 1.0
        here = replace(here, cores=self.threads, memory_bytes=int(here.memory_bytes * share))
        return configured_setting(wanted, here, seed)

    def build(self, setting: IndexSetting) -> IndexSetting:
        """Build an index by a setting, unless it is there; returns its setting as built."""
        return self._built(setting).setting

    def search(self, setting: IndexSetting, queries: NDArray[np.float32], k: int) -> Neighbors:
        """The best targets that the index shows, ``[queries, min(k, targets)]``; see :class:`SavedIndex`."""
        # What comes from another process can't be written to, for which compiled code would be compiled again.
        found = self._built(setting).search(np.array(queries, np.float32), k)
        return self._named(found)

    def exact(self, queries: NDArray[np.float32], k: int) -> Neighbors:
        """The best targets of all, ``[queries, min(k, targets)]``."""
        vectors, metric = self.vectors.values, self.source.metric
        return self._named(exact_neighbors(vectors, np.array(queries), k, metric, self.threads))

    def score_listed(self, queries: NDArray[np.float32], listed: Ragged) -> NDArray[np.float32]:
        """Scores of some targets of the stretch for each query; see :class:`TargetVectors`."""
        here = Ragged(np.array(listed.indptr), listed.values - self.source.start)
        return self.vectors.score_listed(np.array(queries), here)

    def score_block(self, queries: NDArray[np.float32], targets: Block) -> NDArray[np.float32]:
        """Scores of the same targets of the stretch for all queries; see :class:`TargetVectors`."""
        start = self.source.start
        here = slice(targets.start - start, targets.stop - start) if isinstance(targets, slice) else targets - start
        return self.vectors.score_block(np.array(queries), here)

    def save(self, setting: IndexSetting, recall: Recall, seconds: float) -> IndexManifest:
        """Put the index into the lake.

        Args:
            setting: that it is to be searched by.
            recall: of all shards together.
            seconds: that they took.

        Returns:
            The shard's manifest.
        """
        index, source = self._built(setting), self.source
        assert self.folder is not None, "what was saved is not saved again"
        table = f"embeddings_{source.table}"
        manifest = IndexManifest(
            index.setting, index.size, index.channels, table, source.version, source.anchor, recall, seconds
        )
        return save_index(source.lake, source.query, index, manifest, self.folder, source.number)

    def _built(self, setting: IndexSetting) -> SavedIndex:
        """The index of a setting, searched as it says."""
        asked = setting.at_width(1)
        if self._index is None or asked != self._built_by:
            assert self.folder is not None, "what was saved is asked for by the setting that it was saved with"
            self._index = None
            # What an index of another kind has left would be saved with this one.
            for file in self.folder.iterdir():
                if file.name != VECTORS:
                    file.unlink()
            own = replace(setting, threads=self.threads)
            self._index, self._built_by = build_index(self.vectors.values, own, self.folder), asked
            log.info("shard %d: %s", self.source.number, self._index.setting.in_words())
        width = min(setting.search_width, self._index.setting.most_width)
        if self._index.setting.search_width != width:
            self._index = self._index.with_width(width)
        return self._index

    def _named(self, found: Neighbors) -> Neighbors:
        """Rows of the stretch under their ids among all targets."""
        return Neighbors(np.where(found.targets < 0, -1, found.targets + self.source.start), found.scores)


def shard_bounds(targets: int, shards: int) -> list[tuple[int, int]]:
    """Stretches of targets of about equal length: first row, and the row after the last."""
    ends = np.linspace(0, targets, min(shards, targets) + 1).astype(np.int64)
    return [(int(a), int(b)) for a, b in pairwise(ends)]


def shard_bytes(targets: int, channels: int) -> int:
    """Memory of a process with so many targets: its index, and vectors that are mapped and go as others need room."""
    return PROCESS_BYTES + 2 * 4 * targets * channels
