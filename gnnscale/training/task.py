"""What the training loop trains: examples, the source of their batches, a network, and an objective."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnscale.batches import BatchSource
from gnnscale.training.distributed_context import DistributedContext
from gnnscale.training.objectives.objective import Objective, TrainingBatch
from gnnscale.training.schedule import usual_rate

S = TypeVar("S", bound=BatchSource)


class Task(Generic[S]):
    """One query for one process.

    Args:
        source: of batches; it knows the examples by row number, and their order.
        model: fresh weights.
        objective: labels of the examples, the loss, and the validation.
        context: of this process.
        peak_rate: the highest learning rate, from the steps of the whole training, where the configuration says none.

    Attributes:
        model: on the process's device.
        selection: which validation is the best.
    """

    def __init__(
        self,
        source: S,
        model: nn.Module,
        objective: Objective[S],
        context: DistributedContext | None = None,
        peak_rate: Callable[[int], float] = usual_rate,
    ) -> None:
        self.source, self.objective, self.peak_rate = source, objective, peak_rate
        self.context = context or DistributedContext()
        self.model: nn.Module = model.to(self.context.device)
        self.selection = objective.selection
        self._order: tuple[int, list[NDArray[np.int64]]] = (-1, [])

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Row numbers of the epoch's global batches; the same on every process, and as many in every epoch."""
        if self._order[0] != epoch:
            self._order = (epoch, self.source.batches(epoch))
        return self._order[1]

    def prepare(self, rows: NDArray[np.int64], epoch: int, step: int) -> TrainingBatch:
        """What :meth:`loss` takes of this process's rows of a batch; a thread of its own may call it.

        Every random choice is a function of (seed, epoch, step).
        """
        batch = self.objective.prepare(self.source, rows, epoch, step, self.batches(epoch)[step])
        return batch.pinned() if self.context.device.type == "cuda" else batch

    def loss(self, model: nn.Module, prepared: TrainingBatch) -> Tensor:
        """Sum of the training loss over the rows; drop-out follows torch's generator, which the loop seeds."""
        batch = prepared.to(self.context.device)
        return self.objective.loss(model(*batch.sample.inputs()), batch)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Metrics of the validation examples, whose samples are those of the first epoch; the same on every process."""
        training = model.training
        model.eval()
        figures = self.objective.validate(model, self.source, self.context)
        model.train(training)
        return figures

    def description(self) -> dict[str, Any]:
        """What the model file holds beside the weights: plain data."""
        return self.objective.description()
