"""What every objective is, and which of its validations is the best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnscale.batches import Batch, BatchSource, Tensors
from gnnscale.training.distributed_context import DistributedContext


@dataclass(frozen=True)
class ModelSelection:
    """The validation metric that decides which weights are kept, and whether larger values are better."""

    metric: str
    maximize: bool = True

    def better(self, one: Mapping[str, float], other: Mapping[str, float]) -> bool:
        """Whether the first figures beat the second; what is undefined beats nothing, and any number beats it."""
        mine, theirs = one[self.metric], other[self.metric]
        if math.isnan(mine) or math.isnan(theirs):
            return not math.isnan(mine)
        return mine > theirs if self.maximize else mine < theirs


class TrainingBatch(Tensors):
    """A batch, with what its objective compares the network's outputs with.

    Attributes:
        sample: what the network takes.
    """

    sample: Batch

    @property
    def edges(self) -> int | Tensor:
        """That were sampled."""
        return self.sample.edges


S = TypeVar("S", bound=BatchSource, contravariant=True)
"""Source of the batches that an objective is for."""


class Objective(Protocol[S]):
    """One query's labels, loss and metrics.

    Attributes:
        selection: which validation is the best.
    """

    selection: ModelSelection

    def prepare(
        self,
        source: S,
        rows: NDArray[np.int64],
        epoch: int,
        step: int,
        everyone: NDArray[np.int64],
    ) -> TrainingBatch:
        """The batch of some examples with what stands beside it.

        Args:
            source: of batches.
            rows: row numbers of this process's part of a global batch, int64 ``[batch]``.
            epoch, step: part of the keys of all that is drawn.
            everyone: row numbers of the whole global batch, int64.
        """

    def loss(self, outputs: Any, batch: Any) -> Tensor:
        """Sum of the loss over the rows of a batch that :meth:`prepare` made."""

    def validate(self, model: nn.Module, source: S, context: DistributedContext) -> dict[str, float]:
        """Metrics of the validation examples, the same on every process.

        Args:
            model: in evaluation mode, on the context's device.
            source: of batches.
            context: of this process.
        """

    def description(self) -> dict[str, Any]:
        """What the model file holds beside the weights: plain data."""
