"""Blocks around entities with the columns of the targets that they are scored against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.batches.batch_source import Batch
from gnnscale.batches.blocks.feature_block import BlockSource, FeatureBlock
from gnnscale.batches.examples.entity_events import EntityEvents
from gnnscale.batches.examples.link_examples import Examples
from gnnscale.batches.rows import RowFeatures, Tensors, gather_rows
from gnnscale.store import NodeFeatures


@dataclass(frozen=True)
class TargetRows(Tensors):
    """Some targets: node ids, int64 ``[targets]``, and their columns."""

    nodes: Tensor
    features: RowFeatures

    @classmethod
    def of(cls, features: NodeFeatures, nodes: NDArray[np.int64]) -> TargetRows:
        """Some targets.

        Args:
            features: of all of them.
            nodes: node ids, int64 ``[targets]``.
        """
        return cls(torch.from_numpy(nodes), gather_rows(features, nodes))


@dataclass(frozen=True)
class TargetsThere(Tensors):
    """Some targets, and which of them are there at the anchor, bool ``[targets]``."""

    rows: TargetRows
    valid: Tensor

    @classmethod
    def of(cls, features: NodeFeatures, nodes: NDArray[np.int64], anchor: int) -> TargetsThere:
        """Some targets.

        Args:
            features: of all of them.
            nodes: node ids, int64 ``[targets]``.
            anchor: seconds after the graph's origin.
        """
        return cls(TargetRows.of(features, nodes), torch.from_numpy(np.asarray(features.is_valid_at(nodes, anchor))))


@dataclass(frozen=True)
class HadTargets(Tensors):
    """What entities of a batch have had, each weighed by its share of the entity's events.

    Args:
        rows: of the distinct targets.
        entity: position of the entity in the batch, int64 ``[pairs]``.
        target: position in ``rows``, int64 ``[pairs]``.
        share: float32 ``[pairs]``; those of an entity sum to 1.
    """

    rows: TargetRows
    entity: Tensor
    target: Tensor
    share: Tensor

    @classmethod
    def of(
        cls, events: EntityEvents, features: NodeFeatures, entities: NDArray[np.int64], anchors: NDArray[np.int32]
    ) -> HadTargets:
        """What some entities had by their anchors.

        Args:
            events: of all entities.
            features: of all targets.
            entities: node ids, int64 ``[batch]``.
            anchors: seconds after the graph's origin, int32 ``[batch]``.
        """
        had = events.had(entities, anchors.astype(np.int64))
        nodes, place = np.unique(had.target, return_inverse=True)
        share = had.events / np.bincount(had.example, had.events, len(entities))[had.example]
        return cls(
            TargetRows.of(features, nodes),
            torch.from_numpy(had.example),
            torch.from_numpy(place.astype(np.int64)),
            torch.from_numpy(share.astype(np.float32)),
        )


@dataclass(frozen=True)
class TowerBatch(Batch):
    """A block around entities, and targets; and what the entities have had, where their vectors start from it."""

    block: FeatureBlock
    targets: TargetRows
    edges: int | Tensor = 0
    had: HadTargets | None = None

    def inputs(self) -> tuple[Any, ...]:
        """All."""
        return (self.block, self.targets) if self.had is None else (self.block, self.targets, self.had)


class TowerSource:
    """Blocks of a source, and rows of targets beside them; see :class:`gnnscale.batches.LinkBatchSource`.

    Args:
        blocks: around the examples' entities.
        features: of all targets.
        events: of all entities, where their vectors start from what they have had; else None.
        examples: whose rows are built; None where batches are built around any entities.
    """

    def __init__(
        self,
        blocks: BlockSource,
        features: NodeFeatures,
        events: EntityEvents | None = None,
        examples: Examples | None = None,
    ) -> None:
        self.blocks, self.features, self.events, self.examples = blocks, features, events, examples

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """In the order of the blocks' source."""
        return self.blocks.batches(epoch)

    def build(self, rows: NDArray[np.int64], epoch: int = 0, targets: NDArray[np.int64] | None = None) -> TowerBatch:
        """The blocks of some examples, and rows of targets; none where none are given."""
        nodes = np.zeros(0, np.int64) if targets is None else targets
        block = self.blocks.build(rows, epoch)
        had = None
        if self.events is not None and self.examples is not None:
            entities, anchors = self.examples.entities[rows], self.examples.anchors[rows]
            had = HadTargets.of(self.events, self.features, entities, anchors)
        return TowerBatch(block, TargetRows.of(self.features, nodes), block.edges, had)
