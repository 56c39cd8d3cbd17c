"""The graph of entities and targets around some of both, every node once and every product with it by itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.batches.batch_source import Batch
from gnnscale.batches.bipartite.bipartite_sides import BipartiteSides
from gnnscale.batches.rows import Tensors


@dataclass(frozen=True)
class SampledProduct(Tensors):
    """Rows of the normalized adjacency, estimated from a sample of each row's entries.

    Args:
        columns: positions among the nodes of the next product, int64 ``[entries]``, row after row.
        offsets: where each row starts, int64 ``[rows + 1]``.
        weights: of the entries, float32 ``[entries]``.
    """

    columns: Tensor
    offsets: Tensor
    weights: Tensor


@dataclass(frozen=True)
class BipartiteBlock(Batch):
    """Entities and targets at one anchor, and what products with the graph read of it.

    Set 0 has the nodes that are asked for, set k + 1 the neighbors of set k; within a set entities come before targets.

    Args:
        entity_nodes, target_nodes: all that are in any set, each once, ascending, int64.
        nodes: of every set, positions among all entities and then all targets, int64.
        products: from each set but the last to the one after it.
        entities: positions in set 0 of those that were asked for, int64 ``[batch]``.
        targets: the same, int64 ``[targets]``.
        there: which of the targets are there at the anchor, bool ``[targets]``.
        degrees: weights of the events that have named each of them by the anchor, float32 ``[targets]``.
        anchor: seconds after the graph's origin.
        edges: entries of all products.
    """

    entity_nodes: Tensor
    target_nodes: Tensor
    nodes: tuple[Tensor, ...]
    products: tuple[SampledProduct, ...]
    entities: Tensor
    targets: Tensor
    there: Tensor
    degrees: Tensor
    anchor: int
    edges: int = 0

    @property
    def asked_entities(self) -> Tensor:
        """Node ids of those that were asked for, int64 ``[batch]``."""
        return self.entity_nodes[self.nodes[0][self.entities]]

    @property
    def asked_targets(self) -> Tensor:
        """The same, int64 ``[targets]``."""
        return self.target_nodes[self.nodes[0][self.targets] - len(self.entity_nodes)]


class BipartiteBuilder:
    """Makes the blocks around any entities and targets at an anchor.

    Args:
        sides: of the graph.
        layers: products with it.
    """

    def __init__(self, sides: BipartiteSides, layers: int) -> None:
        self.sides, self.layers = sides, layers

    def build(
        self, entities: NDArray[np.int64], targets: NDArray[np.int64], anchor: int, epoch: int = 0
    ) -> BipartiteBlock:
        """What products read around some nodes.

        Args:
            entities: node ids, int64 ``[batch]``.
            targets: node ids, int64 ``[targets]``.
            anchor: seconds after the graph's origin.
            epoch: of the training: another one samples other neighbors.
        """
        (first, entity_places), (second, target_places) = (
            np.unique(nodes, return_inverse=True) for nodes in (entities, targets)
        )
        sets = [(first, second)]
        products = []
        for _ in range(self.layers):
            product, reached = self._product(*sets[-1], anchor, epoch)
            products.append(product)
            sets.append(reached)
        every = [np.unique(np.concatenate([pair[side] for pair in sets])) for side in (0, 1)]
        shift = len(every[0])
        nodes = tuple(
            torch.from_numpy(np.concatenate([np.searchsorted(every[0], own), np.searchsorted(every[1], other) + shift]))
            for own, other in sets
        )
        degrees = self.sides.targets.degrees(targets, anchor).astype(np.float32)
        return BipartiteBlock(
            torch.from_numpy(every[0]),
            torch.from_numpy(every[1]),
            nodes,
            tuple(products),
            torch.from_numpy(entity_places),
            torch.from_numpy(target_places + len(first)),
            torch.from_numpy(self.sides.are_there(targets, anchor)),
            torch.from_numpy(degrees),
            anchor,
            sum(len(product.columns) for product in products),
        )

    def _product(
        self, entities: NDArray[np.int64], targets: NDArray[np.int64], anchor: int, epoch: int
    ) -> tuple[SampledProduct, tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """The product that a set's nodes are rows of, and the entities and targets that it reads."""
        of_entities = self.sides.of_entities(entities, anchor, epoch)
        of_targets = self.sides.of_targets(targets, anchor, epoch)
        # An entity's neighbors are targets, and a target's are entities.
        reached = np.unique(of_targets.others), np.unique(of_entities.others)
        columns = np.concatenate(
            [
                np.searchsorted(reached[1], of_entities.others) + len(reached[0]),
                np.searchsorted(reached[0], of_targets.others),
            ]
        )
        counts = np.concatenate([of_entities.counts, of_targets.counts])
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        weights = np.concatenate([of_entities.weights, of_targets.weights])
        return SampledProduct(*(torch.from_numpy(part) for part in (columns, offsets, weights))), reached
