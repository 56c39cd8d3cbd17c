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
class TowerBatch(Batch):
    """A block around entities, and targets."""

    block: FeatureBlock
    targets: TargetRows
    edges: int | Tensor = 0

    def inputs(self) -> tuple[Any, ...]:
        """Both."""
        return self.block, self.targets


class TowerSource:
    """Blocks of a source, and rows of targets beside them; see :class:`gnnscale.batches.LinkBatchSource`.

    Args:
        blocks: around the examples' entities.
        features: of all targets.
    """

    def __init__(self, blocks: BlockSource, features: NodeFeatures) -> None:
        self.blocks, self.features = blocks, features

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """In the order of the blocks' source."""
        return self.blocks.batches(epoch)

    def build(self, rows: NDArray[np.int64], epoch: int = 0, targets: NDArray[np.int64] | None = None) -> TowerBatch:
        """The blocks of some examples, and rows of targets; none where none are given."""
        nodes = np.zeros(0, np.int64) if targets is None else targets
        block = self.blocks.build(rows, epoch)
        return TowerBatch(block, TargetRows.of(self.features, nodes), block.edges)
