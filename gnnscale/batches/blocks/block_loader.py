"""Sampled blocks with the features of their nodes, made ahead of the training that takes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.arrays import prefetched
from gnnscale.batches.batch_source import Batch
from gnnscale.batches.blocks.category_codes import Categories, CategoryCodes, gather_codes
from gnnscale.batches.blocks.gather import gather
from gnnscale.batches.examples.order import chosen_batches, grouped_batches, rank_slice
from gnnscale.sampling import Block, NeighborSampler, Path
from gnnscale.schema import ConfigError


@dataclass(frozen=True)
class FeatureBlock(Batch):
    """A block in the form that :class:`gnnscale.nn.BlockNetwork` takes.

    Args:
        rows: of the loader's examples, int64 ``[batch]``.
        hops: of the sampler, ``()`` first.
        nodes: of every hop, int32 ``[batch, fanout 1, ..., fanout n]``, -1 where absent.
        features: of every hop, ``[batch, fanout 1, ..., fanout n, channels]``, zeros where absent.
        edges: that were sampled.
        weights: of the nodes of every hop but the seeds, as ``nodes``; empty where all weigh the same.
        codes: of every hop's categorical columns, int32 ``[batch, fanout 1, ..., fanout n, columns]``, 0 where a value
            is missing and where absent; empty where no table has such columns.
    """

    rows: Tensor
    hops: tuple[Path, ...]
    nodes: tuple[Tensor, ...]
    features: tuple[Tensor, ...]
    edges: int = 0
    weights: tuple[Tensor, ...] = ()
    codes: tuple[Tensor, ...] = ()

    @classmethod
    def of(
        cls,
        block: Block,
        rows: NDArray[np.int64],
        features: Mapping[str, NDArray[Any]],
        threads: int = 1,
        codes: Mapping[str, CategoryCodes] | None = None,
    ) -> FeatureBlock:
        """A block with the features of its nodes.

        Args:
            block: sampled.
            rows: of the examples that its seeds are of, ``[batch]``.
            features: table -> of all its nodes, ``[nodes, channels]``.
            threads: that share the nodes.
            codes: table -> categorical columns of all its nodes; default: none are seen.
        """
        tables = [block.table, *(hop.table for hop in block.hops.values())]
        nodes = [block.seeds.astype(np.int32), *(hop.nodes for hop in block.hops.values())]
        found = [gather(features[t], n, threads) for t, n in zip(tables, nodes, strict=True)]
        return cls(
            torch.from_numpy(rows),
            ((), *block.hops),
            as_tensors(nodes),
            as_tensors(found),
            block.edges(),
            codes=as_tensors(gather_codes(codes or {}, tables, nodes, threads)),
        )

    def inputs(
        self,
    ) -> tuple[dict[Path, Tensor], dict[Path, Tensor], dict[Path, Tensor] | None, dict[Path, Tensor] | None]:
        """Features, which slots hold a node, and weights and codes of the nodes where they have any, by path."""
        features = dict(zip(self.hops, self.features, strict=True))
        present = {path: nodes >= 0 for path, nodes in zip(self.hops, self.nodes, strict=True)}
        weights = dict(zip(self.hops[1:], self.weights, strict=True)) if self.weights else None
        codes = dict(zip(self.hops, self.codes, strict=True)) if self.codes else None
        return features, present, weights, codes


def as_tensors(arrays: Iterable[NDArray[Any]]) -> tuple[Tensor, ...]:
    """Arrays as tensors, copied where they are not contiguous."""
    return tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)


class BlockSource(Protocol):
    """Where training has its blocks from.

    Attributes:
        table: of the seeds.
        paths: edge types from a seed to each hop, shorter ones first.
        widths: table -> channels of its nodes' features.
        categories: table -> how many each of its categorical columns has; tables that have none are left out.
        batch_size: examples of a global batch.
    """

    table: str
    paths: tuple[Path, ...]
    widths: dict[str, int]
    categories: dict[str, Categories]
    batch_size: int

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Row numbers of the epoch's global batches; the same on every process, and as many in every epoch."""

    def build(self, rows: NDArray[np.int64], epoch: int = 0) -> FeatureBlock:
        """The blocks of some examples, in their order."""


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
        prefetch: batches that are made before they are asked for.
        groups: row numbers of the examples that an epoch takes, and that shards hold together: the order is then that
            of :class:`gnnscale.batches.blocks.shard_loader.ShardLoader`; default: all of them, in one keyed order.
        chosen: without groups, row numbers of the examples that an epoch takes, int64; default: all.
        most: examples an epoch; where there are more, each epoch takes others. Default: all.
        sample_epoch: of all samples, as shards have one; default: each epoch has samples of its own.
        codes: table -> categorical columns of all its nodes; default: none are seen.

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
        self.sampler, self.features = sampler, dict(features)
        self.seeds, self.anchors = np.asarray(seeds, np.int64), anchors
        self.batch_size, self.seed = batch_size, seed
        self.rank, self.workers, self.prefetch = rank, workers, prefetch
        self.groups, self.sample_epoch = groups, sample_epoch
        self.chosen = np.arange(len(self.seeds)) if chosen is None else chosen
        self.most = most
        self.table, self.paths = sampler.table, tuple(sampler.paths)
        self.widths = {table: array.shape[1] for table, array in self.features.items()}
        self.codes = dict(codes or {})
        self.categories = {table: columns.categories for table, columns in self.codes.items()}

    def steps(self) -> int:
        """Batches of an epoch."""
        return len(self.batches(0))

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Row numbers of the epoch's global batches."""
        if self.groups is not None:
            return grouped_batches(self.groups, self.batch_size, self.seed, epoch, most=self.most)
        return chosen_batches(self.chosen, self.batch_size, self.most, self.seed, epoch)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[FeatureBlock]:
        """The batches of an epoch from step ``start`` on.

        A batch of fewer examples than processes leaves some with an empty block.
        """
        mine = (rank_slice(batch, self.rank, self.workers) for batch in self.batches(epoch)[start:])
        return prefetched((partial(self.build, rows, epoch) for rows in mine), self.prefetch)

    def build(self, rows: NDArray[np.int64], epoch: int = 0) -> FeatureBlock:
        """Sample and gather for some examples; the key of each is its seed and anchor."""
        anchors = None if self.anchors is None else self.anchors[rows]
        return self.around(self.seeds[rows], anchors, epoch, rows)

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
