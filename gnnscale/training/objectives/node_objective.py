"""Node-level tasks: a value, a class or several for each entity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnscale.batches import Batch, BatchSource
from gnnscale.metrics import validate_task
from gnnscale.nn import NodeLoss
from gnnscale.training.distributed_context import DistributedContext
from gnnscale.training.objectives.node_knowledge import NodeKnowledge
from gnnscale.training.objectives.node_scores import score_rows
from gnnscale.training.objectives.node_validation import selection_of
from gnnscale.training.objectives.objective import TrainingBatch


@dataclass(frozen=True)
class NodeBatch(TrainingBatch):
    """A batch and the labels of its examples, float32 ``[batch, labels]``."""

    sample: Batch
    values: Tensor


class NodeObjective:
    """Predict one answer an example; see :class:`gnnscale.training.objectives.objective.Objective`.

    Args:
        knowledge: what is known from the training labels, beside the weights.
        loss: that fits the answers.
        values: labels of all examples by row number, float32 ``[examples, labels]``.
        validation: row numbers that are validated on, int64.
        top: classes that the query asks for.
    """

    def __init__(
        self,
        knowledge: NodeKnowledge,
        loss: NodeLoss,
        values: NDArray[np.float32],
        validation: NDArray[np.int64],
        top: int | None = None,
    ) -> None:
        self.knowledge, self.node_loss, self.values, self.validation = knowledge, loss, values, validation
        self.top = top
        self.selection = selection_of(knowledge.shape, top)

    def prepare(
        self, source: BatchSource, rows: NDArray[np.int64], epoch: int, step: int, everyone: NDArray[np.int64]
    ) -> NodeBatch:
        """The batch and its labels."""
        return NodeBatch(source.build(rows, epoch), torch.from_numpy(self.values[rows]))

    def loss(self, outputs: Tensor, batch: NodeBatch) -> Tensor:
        """Sum over the rows of the configured loss."""
        return self.node_loss.total(outputs, batch.values, self.knowledge.space)

    def validate(self, model: nn.Module, source: BatchSource, context: DistributedContext) -> dict[str, float]:
        """Metrics over all validation examples."""
        rows = self.validation
        scores = score_rows(model, lambda part: source.build(rows[part]), self.knowledge, len(rows), context)
        return validate_task(self.knowledge.shape.task, scores, self.values[rows], self.top)

    def description(self) -> dict[str, Any]:
        """Classes, statistics of the target, and which inputs there are."""
        return self.knowledge.to_dict()
