"""Blocks of the nodes that random walks visit most, with visits as their weights, for importance pooling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnscale.batches.blocks.category_codes import CategoryCodes
from gnnscale.batches.blocks.feature_block import FeatureBlock
from gnnscale.batches.blocks.seed_loader import SeedLoader
from gnnscale.sampling import Path, WalkSampler
from gnnscale.schema import EdgeType, Link


class WalkLoader(SeedLoader):
    """Batches of one hop: from a seed to what its walks visit most (Ying et al., PinSage, 2018: section 3.1).

    Args:
        sampler: of walks.
        features: table -> of all its nodes, ``[nodes, channels]``: the seeds' table, and the one that walks count in.
        seeds: node ids of the sampler's table, int64 ``[examples]``.
        anchors: seconds after the graph's origin, int32 ``[examples]``; default: all edges count.
        batch_size: examples of a global batch.
        seed: of the order.
        chosen: row numbers of the examples that an epoch takes, int64; default: all.
        most: examples an epoch; where there are more, each epoch takes others. Default: all.
        codes: table -> categorical and multicategorical columns of all its nodes; default: none are seen.
    """

    def __init__(
        self,
        sampler: WalkSampler,
        features: Mapping[str, NDArray[Any]],
        seeds: NDArray[np.int64],
        anchors: NDArray[np.int32] | None = None,
        batch_size: int = 1024,
        seed: int = 0,
        chosen: NDArray[np.int64] | None = None,
        most: int | None = None,
        codes: Mapping[str, CategoryCodes] | None = None,
    ) -> None:
        self._hop: Path = (walk_hop(sampler),)
        table, paths = sampler.table, (self._hop,)
        super().__init__(table, paths, features, seeds, anchors, batch_size, seed, chosen, most, codes)
        self.sampler = sampler

    def around(
        self,
        seeds: NDArray[np.int64],
        anchors: NDArray[np.int32] | None,
        epoch: int = 0,
        rows: NDArray[np.int64] | None = None,
    ) -> FeatureBlock:
        """Walk from any seeds ``[batch]`` at any anchors and gather; edges are the visits that count."""
        rows = np.arange(len(seeds)) if rows is None else rows
        walks = self.sampler.sample(seeds, anchors, epoch)
        nodes, tables = (walks.seeds.astype(np.int32), walks.nodes), (self.table, self.sampler.target)
        hops, visits, threads = ((), self._hop), int(walks.counts.sum()), self.sampler.threads
        return FeatureBlock.gathered(
            rows, hops, tables, nodes, self.features, self.codes, threads, visits, [walks.weights()]
        )


def walk_hop(sampler: WalkSampler) -> EdgeType:
    """What joins a seed with a visited node: no link of the graph, it goes by the name of the cycle's steps."""
    name = "__".join(edge_type.table_name.removeprefix("edges_") for edge_type in sampler.path)
    return EdgeType(Link(sampler.table, name, sampler.target), reverse=False)
