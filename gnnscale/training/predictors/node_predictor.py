"""Trained networks of node-level tasks: answers for any entities at any anchors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gnnscale.batches import AnywhereSource, Batch, EntityExamples
from gnnscale.query import PredictiveQuery
from gnnscale.training.distributed_context import DistributedContext
from gnnscale.training.objectives.node_knowledge import NodeKnowledge
from gnnscale.training.objectives.node_scores import score_rows


@dataclass(frozen=True)
class NodePredictor:
    """A trained network with what turns entities into answers.

    Args:
        query: bound query.
        model: in evaluation mode.
        source: of its batches.
        knowledge: reads its outputs; classes, statistics of the target, and which inputs there are.
        device: of the model.
    """

    query: PredictiveQuery
    model: nn.Module
    source: AnywhereSource
    knowledge: NodeKnowledge
    device: torch.device

    def predict(self, examples: EntityExamples) -> NDArray[np.float32]:
        """Probabilities or values, float32 ``[examples, scores]``; labels are not looked at."""

        def batch_of(rows: NDArray[np.int64]) -> Batch:
            return self.source.around(examples.entities[rows], examples.anchors[rows])

        return score_rows(self.model, batch_of, self.knowledge, len(examples), DistributedContext(device=self.device))
