"""Validation figures of the entity tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnscale.batches import AnswerShape, EntityExamples, rank_slice
from gnnscale.metrics import selection_metric, validate_task
from gnnscale.nn import EntityObjective
from gnnscale.training.distributed_context import DistributedContext
from gnnscale.training.task import ModelSelection

Floats = NDArray[np.float32]
BATCH = 512


class Batches(Protocol):
    """Makes what a network takes of examples."""

    def build(self, examples: EntityExamples) -> Any:
        """One batch, which moves to a device by ``to``."""


@torch.no_grad()
def score_all(
    model: nn.Module, builder: Batches, objective: EntityObjective, examples: EntityExamples, place: DistributedContext
) -> Floats:
    """Predictions for all examples, float32 ``[examples, scores]``, the same on every process; each scores its slice.

    Args:
        model: on the place's device.
        builder: of batches.
        objective: which reads the outputs.
        examples: labels are not needed.
        place: of this process.
    """

    def score(rows: NDArray[np.int64]) -> Tensor:
        return objective.predict(model(builder.build(examples.take(rows)).to(place.device)))

    return score_rows(model, score, len(examples), place)


@torch.no_grad()
def score_rows(
    model: nn.Module, score: Callable[[NDArray[np.int64]], Tensor], count: int, place: DistributedContext
) -> Floats:
    """Predictions of all examples, each process's slice by itself.

    Args:
        model: that is put into evaluation mode meanwhile.
        score: predictions ``[rows, scores]`` of some examples by their numbers.
        count: of examples.
        place: of this process.

    Returns:
        float32 ``[examples, scores]``, the same on every process.
    """
    training = model.training
    model.eval()
    rows = rank_slice(np.arange(count), place.rank, place.workers)
    # An empty slice is scored as one example, so that the width is known.
    starts = range(0, max(1, len(rows)), BATCH)
    scores = torch.cat([score(rows[s : s + BATCH] if len(rows) else np.zeros(1, np.int64)) for s in starts])
    found = scores.new_zeros(count, scores.shape[1])
    found[torch.from_numpy(rows).to(place.device)] = scores[: len(rows)]
    model.train(training)
    return place.total(found).cpu().numpy().astype(np.float32)


def kept_metric(shape: AnswerShape, top: int | None) -> ModelSelection:
    """The metric that a task's weights are chosen by."""
    metric = selection_metric(shape.task, shape.scores, top)
    return ModelSelection(metric.name, metric.higher_is_better)


def measure(shape: AnswerShape, scores: Floats, values: Floats, top: int | None) -> dict[str, float]:
    """Metrics of predictions, the kept one first; the formulas are those of the evaluation.

    Args:
        shape: of the answers.
        scores: ``[examples, scores]``.
        values: labels, ``[examples, labels]``.
        top: classes that the query asks for.

    Returns:
        Metric -> value; NaN where the examples leave it undefined.
    """
    return validate_task(shape.task, scores, values, top)
