"""Where training, validation and inference have their batches from."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.batches.rows import Tensors


class Batch(Tensors):
    """What a network takes of some examples.

    Attributes:
        edges: that were sampled; those that a device counts are a tensor there, so that nobody waits for it.
    """

    edges: int | Tensor

    def inputs(self) -> tuple[Any, ...]:
        """Arguments of the network; by default the batch itself."""
        return (self,)


class BatchSource(Protocol):
    """Batches of some examples, which it knows by row number; every sample is a function of (seed, epoch, example)."""

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Row numbers of the epoch's global batches; the same on every process, and as many in every epoch."""

    def build(self, rows: NDArray[np.int64], epoch: int = 0) -> Batch:
        """The batch of some examples, int64 ``[rows]``, in their order."""


class LinkBatchSource(Protocol):
    """A :class:`BatchSource` of examples that are scored against targets."""

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """As in :class:`BatchSource`."""

    def build(self, rows: NDArray[np.int64], epoch: int = 0, targets: NDArray[np.int64] | None = None) -> Batch:
        """The batch of some examples, with node ids of targets to score for each of them, int64 ``[targets]``."""


class AnywhereSource(Protocol):
    """A source that makes batches around any entities at any anchors, labelled or not."""

    def around(self, entities: NDArray[np.int64], anchors: NDArray[np.int32], epoch: int = 0) -> Batch:
        """One batch.

        Args:
            entities: node ids, int64 ``[batch]``.
            anchors: seconds after the graph's origin, int32 ``[batch]``.
            epoch: part of the sampling key.
        """
