"""Blocks that are sampled in memory, made ahead of the training that takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import prefetched
from gnnscale.batches.blocks.category_codes import CategoryCodes
from gnnscale.batches.blocks.feature_block import FeatureBlock
from gnnscale.batches.blocks.seed_loader import SeedLoader
from gnnscale.batches.examples.order import grouped_batches, rank_slice
from gnnscale.sampling import NeighborSampler
from gnnscale.schema import ConfigError


class BlockLoader(SeedLoader):
    """Batches of examples in a keyed order; each process takes its slice of every global batch.

    The order of the examples and every sample are functions of (seed, epoch): not of the number of processes and
    threads, nor of where an epoch is taken up again.

    Args:
        sampler: around the seeds.
        features: table -> of all its nodes, ``[nodes, channels]``.
        seeds: node ids of the sampler's table, int64 ``[examples]``.
        anchors: seconds after the graph's origin, int32 ``[examples]``; default: all edges count.
        batch_size: examples of a global batch.
        seed: of the order.
        rank, workers: of this process among those that share a batch.
        prefetch: batches of :meth:`epoch` that are made before they are asked for, at least one a thread of the
            sampler's, each of which makes whole ones; 0 for none.
        groups: row numbers of the examples that an epoch takes, and that shards hold together: the order is then that
            of :class:`gnnscale.batches.blocks.shard_loader.ShardLoader`; default: all of them, in one keyed order.
        chosen: without groups, row numbers of the examples that an epoch takes, int64; default: all.
        most: examples an epoch; where there are more, each epoch takes others. Default: all.
        sample_epoch: of all samples, as shards have one; default: each epoch has samples of its own.
        codes: table -> categorical and multicategorical columns of all its nodes; default: none are seen.

    Raises:
        ConfigError: a table that the sampler reaches has no features.
    """

    def __init__(
        self,
        sampler: NeighborSampler,
        features: Mapping[str, NDArray[Any]],
        seeds: NDArray[np.int64],
        anchors: NDArray[np.int32] | None = None,
        batch_size: int = 1024,
        seed: int = 0,
        rank: int = 0,
        workers: int = 1,
        prefetch: int = 2,
        groups: Sequence[NDArray[np.int64]] | None = None,
        sample_epoch: int | None = None,
        chosen: NDArray[np.int64] | None = None,
        most: int | None = None,
        codes: Mapping[str, CategoryCodes] | None = None,
    ) -> None:
        lacking = {path[-1].target for path in sampler.paths} | {sampler.table}
        lacking -= features.keys()
        if lacking:
            raise ConfigError(f"there are no features of {', '.join(sorted(lacking))}, which the sampler reaches")
        table, paths = sampler.table, tuple(sampler.paths)
        super().__init__(table, paths, features, seeds, anchors, batch_size, seed, chosen, most, codes)
        self.sampler = sampler
        self.rank, self.workers, self.prefetch = rank, workers, prefetch
        self.groups, self.sample_epoch = groups, sample_epoch

    def steps(self) -> int:
        """Batches of an epoch."""
        return len(self.batches(0))

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Row numbers of the epoch's global batches."""
        if self.groups is None:
            return super().batches(epoch)
        return grouped_batches(self.groups, self.batch_size, self.seed, epoch, most=self.most)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[FeatureBlock]:
        """The batches of an epoch from step ``start`` on.

        A batch of fewer examples than processes leaves some with an empty block.
        """
        mine = (rank_slice(batch, self.rank, self.workers) for batch in self.batches(epoch)[start:])
        threads = self.sampler.threads
        # With one batch ahead for each, no thread is left without work.
        ahead = max(self.prefetch, threads) if self.prefetch else 0
        return prefetched((partial(self.build, rows, epoch) for rows in mine), ahead, threads)

    def around(
        self,
        seeds: NDArray[np.int64],
        anchors: NDArray[np.int32] | None,
        epoch: int = 0,
        rows: NDArray[np.int64] | None = None,
    ) -> FeatureBlock:
        """Sample and gather for any seeds ``[batch]`` and anchors; ``rows`` are what the block calls its examples."""
        rows = np.arange(len(seeds)) if rows is None else rows
        block = self.sampler.sample(seeds, anchors, epoch if self.sample_epoch is None else self.sample_epoch)
        return FeatureBlock.of(block, rows, self.features, self.sampler.threads, self.codes)
