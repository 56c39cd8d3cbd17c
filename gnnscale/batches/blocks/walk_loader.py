"""Blocks of the nodes that random walks visit most, with visits as their weights, for importance pooling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gnnscale.batches.blocks.block_loader import FeatureBlock, as_tensors
from gnnscale.batches.blocks.category_codes import CategoryCodes, gather_codes
from gnnscale.batches.blocks.gather import gather
from gnnscale.batches.examples.order import chosen_batches
from gnnscale.sampling import Path, WalkSampler
from gnnscale.schema import EdgeType, Link


class WalkLoader:
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
        codes: table -> categorical columns of all its nodes; default: none are seen.
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
        self.sampler, self.features = sampler, dict(features)
        self.seeds, self.anchors = np.asarray(seeds, np.int64), anchors
        self.batch_size, self.seed = batch_size, seed
        self.chosen = np.arange(len(self.seeds)) if chosen is None else chosen
        self.most = most
        self.table = sampler.table
        # What joins a seed with a visited node is no link of the graph; it goes by the cycle's name.
        name = "__".join(edge_type.table_name.removeprefix("edges_") for edge_type in sampler.path)
        self._hop: Path = (EdgeType(Link(sampler.table, name, sampler.target), reverse=False),)
        self.paths: tuple[Path, ...] = (self._hop,)
        self.widths = {table: array.shape[1] for table, array in self.features.items()}
        self.codes = dict(codes or {})
        self.categories = {table: columns.categories for table, columns in self.codes.items()}

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Row numbers of the epoch's global batches."""
        return chosen_batches(self.chosen, self.batch_size, self.most, self.seed, epoch)

    def build(self, rows: NDArray[np.int64], epoch: int = 0) -> FeatureBlock:
        """Walk from some examples' seeds and gather; edges are the visits that count."""
        anchors = None if self.anchors is None else self.anchors[rows]
        return self.around(self.seeds[rows], anchors, epoch, rows)

    def around(
        self,
        seeds: NDArray[np.int64],
        anchors: NDArray[np.int32] | None,
        epoch: int = 0,
        rows: NDArray[np.int64] | None = None,
    ) -> FeatureBlock:
        """Walk from any seeds ``[batch]`` at any anchors; ``rows`` are what the block calls its examples."""
        rows = np.arange(len(seeds)) if rows is None else rows
        walks = self.sampler.sample(seeds, anchors, epoch)
        nodes = (walks.seeds.astype(np.int32), walks.nodes)
        tables, threads = (self.table, self.sampler.target), self.sampler.threads
        found = [gather(self.features[table], n, threads) for table, n in zip(tables, nodes, strict=True)]
        return FeatureBlock(
            torch.from_numpy(rows),
            ((), self._hop),
            as_tensors(nodes),
            as_tensors(found),
            int(walks.counts.sum()),
            as_tensors([walks.weights()]),
            as_tensors(gather_codes(self.codes, tables, nodes, threads)),
        )
