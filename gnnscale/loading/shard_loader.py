"""Batches from shards on disk, in the form that a sampler in memory would give them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnscale.loading.ahead import run_ahead
from gnnscale.loading.block_loader import FeatureBlock
from gnnscale.loading.shards import Shard, ShardReader
from gnnscale.sampling.keys import permutation, stream_key


class ShardLoader:
    """Pre-sampled blocks with the features of their nodes, for training where the graph does not fit.

    Files are taken in a keyed order and shared out to the processes; the examples of a row group are put in a keyed
    order, too. Batches do not reach over row groups.

    Args:
        reader: of the shards.
        features: table -> of all its nodes, ``[nodes, channels]``.
        batch_size: most examples of a process's batch.
        seed: of the order.
        rank, workers: of this process among those that share the files.
        ahead: batches that are made before they are asked for.
        threads: that gather features.
    """

    def __init__(
        self,
        reader: ShardReader,
        features: Mapping[str, NDArray[Any]],
        batch_size: int = 1024,
        seed: int = 0,
        rank: int = 0,
        workers: int = 1,
        ahead: int = 2,
        threads: int = 1,
    ) -> None:
        self.reader, self.features = reader, dict(features)
        self.batch_size, self.seed = batch_size, seed
        self.rank, self.workers = rank, workers
        self.ahead, self.threads = ahead, threads
        self._starts = np.cumsum([0, *reader.counts()])

    def epoch(self, epoch: int) -> Iterator[FeatureBlock]:
        """Every example of this process's files once; ``rows`` number the examples in the order of the labels."""
        order = permutation(stream_key(self.seed, epoch, "order/files"), len(self.reader.files))
        jobs = (
            partial(self._build, shard, rows, int(self._starts[place]) + before)
            for place in order[self.rank :: self.workers]
            for before, shard, rows in self._groups(int(place), epoch)
        )
        return run_ahead(jobs, self.ahead)

    def _groups(self, place: int, epoch: int) -> Iterator[tuple[int, Shard, NDArray[np.int64]]]:
        """Batches of a file: examples before their row group, the row group, and rows of it."""
        before = 0
        for shard in self.reader.read(self.reader.files[place]):
            count = len(shard.block.seeds)
            order = permutation(stream_key(self.seed, epoch, f"order/{place}/{before}"), count)
            for start in range(0, count, self.batch_size):
                yield before, shard, order[start : start + self.batch_size]
            before += count

    def _build(self, shard: Shard, rows: NDArray[np.int64], first: int) -> FeatureBlock:
        return FeatureBlock.of(shard.take(rows), first + rows, self.features, self.threads)
