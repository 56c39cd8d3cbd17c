"""Neighborhoods of several nodes as layers of distinct nodes: what many of them see is read and computed once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.batches.batch_source import Batch
from gnnscale.batches.blocks.category_codes import CategoryCodes
from gnnscale.batches.blocks.gather import gather
from gnnscale.sampling import MostVisited


@dataclass(frozen=True)
class LayeredBlock(Batch):
    """Nodes of one table at one anchor, and their neighbors by importance, layer by layer.

    Layer 0 has the features of all nodes that the layers above read; each node of a layer stands in the one before,
    too.

    Args:
        features: of the nodes of layer 0, ``[nodes 0, channels]``.
        own: of each layer from 1 on: position of its nodes in the one before, int64 ``[nodes l]``.
        neighbors: of each layer from 1 on: positions in the one before, int64 ``[nodes l, top]``, 0 where absent.
        weights: of the neighbors, float32 ``[nodes l, top]``, 0 where absent.
        entities: positions in the last layer, int64 ``[batch]``.
        targets: the same, int64 ``[targets]``.
        there: which of the targets are there at the anchor, bool ``[targets]``.
        edges: neighbors of all layers.
        codes: int32 ``[nodes 0, codes]``; None where the table has no categories.
    """

    features: Tensor
    own: tuple[Tensor, ...]
    neighbors: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]
    entities: Tensor
    targets: Tensor
    there: Tensor
    edges: int = 0
    codes: Tensor | None = None


class LayeredBuilder:
    """Makes layers of the neighborhoods of any nodes at an anchor.

    Args:
        visited: what walks from a node visit most.
        layers: how deep neighborhoods go.
        features: of all nodes, ``[nodes, channels]``.
        codes: their categorical and multicategorical columns; None where there are none.
        threads: that share the nodes.
    """

    def __init__(
        self,
        visited: MostVisited,
        layers: int,
        features: NDArray[Any],
        codes: CategoryCodes | None = None,
        threads: int = 1,
    ) -> None:
        self.visited, self.layers, self.features, self.codes = visited, layers, features, codes
        self.threads = threads
        self._there = visited.walker.store.features(visited.walker.table)

    def build(self, entities: NDArray[np.int64], targets: NDArray[np.int64], anchor: int) -> LayeredBlock:
        """Layers around entities and targets, node ids of the same table.

        Args:
            entities: int64 ``[batch]``.
            targets: int64 ``[targets]``.
            anchor: seconds after the graph's origin.
        """
        nodes, place = np.unique(np.concatenate([entities, targets]), return_inverse=True)
        # The last layer first.
        own: list[Tensor] = []
        neighbors: list[Tensor] = []
        weights: list[Tensor] = []
        edges = 0
        for _ in range(self.layers):
            near, share = self.visited.find(nodes, anchor)
            before = np.unique(np.concatenate([nodes, near[near >= 0].astype(np.int64)]))
            own.append(torch.from_numpy(np.searchsorted(before, nodes)))
            neighbors.append(torch.from_numpy(np.where(near >= 0, np.searchsorted(before, near), 0)))
            weights.append(torch.from_numpy(share))
            edges += int((near >= 0).sum())
            nodes = before
        codes = None if self.codes is None else torch.from_numpy(self.codes.gather(nodes, self.threads))
        return LayeredBlock(
            torch.from_numpy(gather(self.features, nodes, self.threads)),
            tuple(reversed(own)),
            tuple(reversed(neighbors)),
            tuple(reversed(weights)),
            torch.from_numpy(place[: len(entities)]),
            torch.from_numpy(place[len(entities) :]),
            torch.from_numpy(self.are_there(targets, anchor)),
            edges,
            codes,
        )

    def are_there(self, nodes: NDArray[np.int64], anchor: int) -> NDArray[np.bool_]:
        """Which nodes are there at an anchor, bool ``[nodes]``."""
        return np.asarray(self._there.is_valid_at(nodes, anchor))
