"""Links: rows of another table, ranked for each entity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnscale.arrays import Ragged
from gnnscale.batches import Batch, Examples, LinkBatchSource, SplitExamples, draw_positives
from gnnscale.metrics import find_list_metric, selection_metric
from gnnscale.nn import LinkLoss
from gnnscale.query import TaskSpec
from gnnscale.sampling import KnownPositives, Negative, NegativeRequest
from gnnscale.schema import ConfigError
from gnnscale.training.distributed_context import DistributedContext
from gnnscale.training.objectives.objective import ModelSelection, TrainingBatch
from gnnscale.training.objectives.ranking import validate_ranking
from gnnscale.training.predictors.link_predictor import LinkPredictor


def link_selection(task: TaskSpec) -> ModelSelection:
    """The metric that a link task's weights are chosen by: the first of its validation.

    Raises:
        ConfigError: a metric of the validation is unknown, or has no value per entity, so that processes can't share
            the entities.
        DataError: one is no metric of lists of a length.
    """
    for name in task.validation:
        if find_list_metric(name)[0].each is None:
            raise ConfigError(f"{task} can't be validated by {name}: it has no value per entity")
    metric = selection_metric(task)
    return ModelSelection(metric.name, metric.higher_is_better)


@dataclass(frozen=True)
class LinkBatch(TrainingBatch):
    """A batch and its negatives.

    Args:
        sample: with the targets that are scored: the positives, ``[batch]``, where the loss has one an example, and
            then the negatives.
        present: which negatives are some of which example, bool ``[batch, negatives]``.
        log_share: log of the chance of each negative, float32, ``[negatives]`` or ``[batch, negatives]``.
    """

    sample: Batch
    present: Tensor
    log_share: Tensor


class LinkObjective:
    """Rank the targets of each example; see :class:`gnnscale.training.objectives.objective.Objective`.

    Where the loss has one positive an example, that is one of its targets, drawn anew each epoch, and no negative is a
    target that the entity has in any training example.

    Args:
        task: whose validation metrics are measured.
        examples: with targets.
        negatives: that a positive is compared with.
        loss: that fits the network.
        predictor: of the network, to rank with.
        targets: rows of the targets' table.
        seed: of the run.
        past: targets of some rows that validation leaves out; None to rank all.
        itself: whether entities are targets too, and none is a negative of itself.
    """

    def __init__(
        self,
        task: TaskSpec,
        examples: SplitExamples[Examples],
        negatives: Negative,
        loss: LinkLoss,
        predictor: Callable[[nn.Module], LinkPredictor],
        targets: int,
        seed: int,
        past: Callable[[NDArray[np.int64]], Ragged] | None = None,
        itself: bool = False,
    ) -> None:
        self.metrics, self.selection = task.validation, link_selection(task)
        self.examples, self.negatives, self.link_loss = examples.examples, negatives, loss
        self.training, self.validation = examples.examples.take(examples.training), examples.validation
        self.past = past
        self.predictor, self.targets, self.seed = predictor, targets, seed
        known = self.training if examples.known is None else examples.examples.take(examples.known)
        entities = np.repeat(known.entities, np.diff(known.indptr))
        most = int(self.examples.entities.max(initial=0)) + 1
        # A network that sees all targets of its examples tells by itself which negatives are none.
        kept = slice(None) if loss.one_positive else slice(0)
        own = np.unique(known.entities) if itself else known.entities[:0]
        others = np.concatenate([entities[kept], own]), np.concatenate([known.targets[kept], own])
        self.known = KnownPositives.of_pairs(*others, most)

    def prepare(
        self, source: LinkBatchSource, rows: NDArray[np.int64], epoch: int, step: int, everyone: NDArray[np.int64]
    ) -> LinkBatch:
        """The batch with a positive of each row, if it has to be one, and negatives."""
        positives = draw_positives(self.examples, rows, self.seed, epoch) if self.link_loss.one_positive else None
        found = self.negatives.sample(self._request(rows, positives, epoch, step, everyone))
        parts = [part for part in (positives, found.nodes.reshape(-1)) if part is not None]
        targets = np.maximum(np.concatenate(parts), 0)
        batch = source.build(rows, epoch, targets)
        return LinkBatch(batch, torch.from_numpy(found.present), torch.from_numpy(found.log_share))

    def loss(self, outputs: Any, batch: LinkBatch) -> Tensor:
        """Sum over the rows of the configured loss."""
        return self.link_loss.total(outputs, batch.sample, batch.present, batch.log_share)

    def validate(self, model: nn.Module, source: LinkBatchSource, context: DistributedContext) -> dict[str, float]:
        """Full ranking of the targets that are there at the anchor, for the validation examples."""
        found = self.predictor(model), source.build, self.examples, self.validation, self.targets
        return validate_ranking(*found, self.metrics, context, self.past)

    def description(self) -> dict[str, Any]:
        """Nothing: the configuration and the graph say it all."""
        return {}

    def _request(
        self,
        rows: NDArray[np.int64],
        positives: NDArray[np.int64] | None,
        epoch: int,
        step: int,
        everyone: NDArray[np.int64],
    ) -> NegativeRequest:
        examples = self.examples
        named = everyone[examples.indptr[everyone + 1] > examples.indptr[everyone]]
        return NegativeRequest(
            examples.entities[rows],
            examples.anchors[rows],
            self.known,
            rows,
            positives,
            epoch,
            step,
            draw_positives(examples, named, self.seed, epoch),
        )
