"""Sampled blocks with the features of their nodes, made ahead of the training that takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.loading.ahead import run_ahead
from gnnscale.loading.gather import gather
from gnnscale.loading.order import rank_slice, shuffled_batches
from gnnscale.loading.rows import Tensors
from gnnscale.sampling import NeighborSampler
from gnnscale.sampling.block import Block, Path
from gnnscale.schema import ConfigError


@dataclass(frozen=True)
class FeatureBlock(Tensors):
    """A block in the form that :class:`gnnscale.nn.conv.BlockNetwork` takes.

    Args:
        rows: of the loader's examples, int64 ``[batch]``.
        hops: of the sampler, ``()`` first.
        nodes: of every hop, int32 ``[batch, fanout 1, ..., fanout n]``, -1 where absent.
        features: of every hop, ``[batch, fanout 1, ..., fanout n, channels]``, zeros where absent.
    """

    rows: Tensor
    hops: tuple[Path, ...]
    nodes: tuple[Tensor, ...]
    features: tuple[Tensor, ...]

    @classmethod
    def of(
        cls, block: Block, rows: NDArray[np.int64], features: Mapping[str, NDArray[Any]], threads: int = 1
    ) -> FeatureBlock:
        """A block with the features of its nodes.

        Args:
            block: sampled.
            rows: of the examples that its seeds are of, ``[batch]``.
            features: table -> of all its nodes, ``[nodes, channels]``.
            threads: that share the nodes.
        """
        tables = [block.table, *(hop.table for hop in block.hops.values())]
        nodes = [block.seeds.astype(np.int32), *(hop.nodes for hop in block.hops.values())]
        found = [gather(features[t], n, threads) for t, n in zip(tables, nodes, strict=True)]
        tensors = (tuple(map(torch.from_numpy, arrays)) for arrays in (map(np.ascontiguousarray, nodes), found))
        return cls(torch.from_numpy(rows), ((), *block.hops), *tensors)

    def inputs(self) -> tuple[dict[Path, Tensor], dict[Path, Tensor]]:
        """Features and which slots hold a node, by path."""
        features = dict(zip(self.hops, self.features, strict=True))
        return features, {path: nodes >= 0 for path, nodes in zip(self.hops, self.nodes, strict=True)}


class BlockLoader:
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
        ahead: batches that are made before they are asked for.

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
        ahead: int = 2,
    ) -> None:
        lacking = {path[-1].target for path in sampler.paths} | {sampler.table}
        lacking -= features.keys()
        if lacking:
            raise ConfigError(f"there are no features of {', '.join(sorted(lacking))}, which the sampler reaches")
        self.sampler, self.features = sampler, dict(features)
        self.seeds, self.anchors = np.asarray(seeds, np.int64), anchors
        self.batch_size, self.seed = batch_size, seed
        self.rank, self.workers, self.ahead = rank, workers, ahead

    def steps(self) -> int:
        """Batches of an epoch."""
        return max(1, round(len(self.seeds) / self.batch_size))

    def epoch(self, epoch: int, start: int = 0) -> Iterator[FeatureBlock]:
        """The batches of an epoch from step ``start`` on.

        A batch of fewer examples than processes leaves some with an empty block.
        """
        batches = shuffled_batches(len(self.seeds), self.batch_size, len(self.seeds), self.seed, epoch)[start:]
        mine = (rank_slice(batch, self.rank, self.workers) for batch in batches)
        return run_ahead((partial(self.build, rows, epoch) for rows in mine), self.ahead)

    def build(self, rows: NDArray[np.int64], epoch: int = 0) -> FeatureBlock:
        """Sample and gather for some examples; the key of each is its row."""
        anchors = None if self.anchors is None else self.anchors[rows]
        block = self.sampler.sample(self.seeds[rows], anchors, epoch, examples=rows)
        return FeatureBlock.of(block, rows, self.features, self.sampler.threads)
