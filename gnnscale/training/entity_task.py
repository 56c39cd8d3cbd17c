"""Entity tasks in the training loop: a value, a class or several for each entity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnscale.batches import AnswerShape, EntityBatch, EntityExamples, shuffled_batches
from gnnscale.config import Settings
from gnnscale.nn import EntityObjective, TargetTransform, build_entity_batches, build_entity_model
from gnnscale.query import PredictiveQuery, find_task
from gnnscale.sampling import permutation, stream_key
from gnnscale.store import GraphStore
from gnnscale.training.distributed_context import DistributedContext
from gnnscale.training.entity_validation import kept_metric, measure, score_all

DAY = 86_400
YEAR = 365 * DAY
"""Seconds that training anchors have to span for the time of the year to be an input."""
CALIBRATION = 1_000
"""Training examples that the scale of the head's inputs is taken from."""


@dataclass(frozen=True)
class EntityKnowledge:
    """What was learned from the training labels beside the weights.

    Args:
        shape: of the answers.
        space: that values are predicted in.
        yearly: whether the time of the year is an input.
    """

    shape: AnswerShape
    space: TargetTransform
    yearly: bool

    @classmethod
    def fit(cls, shape: AnswerShape, training: EntityExamples) -> Self:
        """From the training split."""
        values = shape.task.predicts_values
        span = int(training.anchors.max()) - int(training.anchors.min()) if len(training) else 0
        return cls(shape, TargetTransform.fit(training.values) if values else TargetTransform(), span >= YEAR)

    def to_dict(self) -> dict[str, Any]:
        """As data that a model file can hold."""
        return {
            "task": str(self.shape.task),
            "classes": list(self.shape.classes),
            "frames": self.shape.frames,
            "space": self.space.to_dict(),
            "yearly": self.yearly,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`."""
        shape = AnswerShape(find_task(data["task"]), tuple(data["classes"]), data["frames"])
        return cls(shape, TargetTransform(**data["space"]), data["yearly"])


class EntityTask:
    """Predict one answer an example; see :class:`gnnscale.training.task.TrainingTask`.

    Args:
        settings: the configuration.
        store: the graph.
        query: bound query.
        shape: of the answers.
        training, validation: examples.
        place: of this process.

    Raises:
        ConfigError: the loss does not fit the task, or the fan-outs don't fit the graph.
    """

    def __init__(
        self,
        settings: Settings,
        store: GraphStore,
        query: PredictiveQuery,
        shape: AnswerShape,
        training: EntityExamples,
        validation: EntityExamples,
        place: DistributedContext | None = None,
    ) -> None:
        self.settings = settings
        self.place = place or DistributedContext()
        self.training, self.validation = training, validation
        self.top = query.top
        self.knowledge = EntityKnowledge.fit(shape, training)
        self.kept = kept_metric(shape, self.top)
        self.builder = build_entity_batches(settings, query, store, shape.classes)
        self.objective = EntityObjective(shape.task, self.knowledge.space, settings.training.loss)
        torch.manual_seed(settings.seed)
        model = build_entity_model(settings, query, store.manifest, self.builder, shape, self.knowledge.yearly)
        sample = permutation(stream_key(settings.seed, 0, "calibration"), len(training))[:CALIBRATION]
        model.calibrate(self.builder.build(training.take(sample)))
        self.model: nn.Module = model.to(self.place.device)

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Batches that mix anchors."""
        settings = self.settings.training
        return shuffled_batches(
            len(self.training), settings.batch_size, settings.max_examples, self.settings.seed, epoch
        )

    def prepare(self, rows: NDArray[np.int64], epoch: int, step: int) -> EntityBatch:
        """The batch."""
        return self.builder.build(self.training.take(rows), epoch)

    def edges(self, prepared: EntityBatch) -> int:
        """Edges of the batch."""
        return prepared.edges

    def loss(self, model: nn.Module, prepared: EntityBatch) -> Tensor:
        """Sum over the rows of the configured loss."""
        batch = prepared.to(self.place.device)
        return self.objective.loss(model(batch), batch.values)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Metrics over all validation examples."""
        scores = score_all(model, self.builder, self.objective, self.validation, self.place)
        return measure(self.knowledge.shape, scores, self.validation.values, self.top)

    def description(self) -> dict[str, Any]:
        """Classes, statistics of the target, and which inputs there are."""
        return self.knowledge.to_dict()
