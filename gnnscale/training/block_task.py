"""Labels of nodes in the training loop: a network of convolutions on blocks, from memory or from shards."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnscale.batches import AnswerShape, BlockSource, FeatureBlock
from gnnscale.config import Settings
from gnnscale.nn import BlockNetwork, Convolution, EntityObjective, GATv2Conv, ImportanceConv, SAGEConv, TargetTransform
from gnnscale.training.distributed_context import DistributedContext
from gnnscale.training.entity_task import EntityKnowledge
from gnnscale.training.entity_validation import kept_metric, measure, score_rows


@dataclass(frozen=True)
class BlockLabels:
    """Answers of a source's examples.

    Args:
        shape: of the answers.
        values: of all examples by row number, float32 ``[examples, labels]``, as
            :class:`gnnscale.batches.EntityExamples` has them.
        validation: row numbers that are validated on, int64.
    """

    shape: AnswerShape
    values: NDArray[np.float32]
    validation: NDArray[np.int64]


class BlockTask:
    """Predict labels of nodes from their blocks; see :class:`gnnscale.training.task.TrainingTask`.

    A source in memory and one of shards that give the same blocks in the same order train the same weights.

    Args:
        settings: sections ``model`` and ``training`` count.
        source: of blocks; its order says which examples are trained on.
        labels: of its examples.
        place: of this process.
        network: makes the network of a source and a number of outputs; default: :func:`build_network`.

    Raises:
        ConfigError: the loss does not fit the answers.
    """

    def __init__(
        self,
        settings: Settings,
        source: BlockSource,
        labels: BlockLabels,
        place: DistributedContext | None = None,
        network: Callable[[Settings, BlockSource, int], nn.Module] | None = None,
    ) -> None:
        self.settings, self.source, self.labels = settings, source, labels
        self.place = place or DistributedContext()
        self.kept = kept_metric(labels.shape, None)
        trained = np.concatenate(source.batches(0))
        values = labels.shape.task.predicts_values
        self.space = TargetTransform.fit(labels.values[trained]) if values else TargetTransform()
        self.objective = EntityObjective(labels.shape.task, self.space, settings.training.loss)
        torch.manual_seed(settings.seed)
        model = (network or build_network)(settings, source, labels.shape.scores)
        self.model: nn.Module = model.to(self.place.device)

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Batches in the source's order."""
        return self.source.batches(epoch)

    def prepare(self, rows: NDArray[np.int64], epoch: int, step: int) -> FeatureBlock:
        """The block of the rows."""
        return self.source.build(rows, epoch)

    def edges(self, prepared: FeatureBlock) -> int:
        """Edges of the block."""
        return prepared.edges

    def loss(self, model: nn.Module, prepared: FeatureBlock) -> Tensor:
        """Sum over the rows of the configured loss."""
        block = prepared.received().to(self.place.device)
        values = torch.from_numpy(self.labels.values[prepared.rows.numpy()]).to(self.place.device)
        return self.objective.loss(model(*block.inputs()), values)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Metrics over all validation examples, whose samples are those of the first epoch."""
        rows = self.labels.validation

        def score(part: NDArray[np.int64]) -> Tensor:
            block = self.source.build(rows[part], 0).received().to(self.place.device)
            return self.objective.predict(model(*block.inputs()))

        scores = score_rows(model, score, len(rows), self.place)
        return measure(self.labels.shape, scores, self.labels.values[rows], None)

    def description(self) -> dict[str, Any]:
        """Kind of answer, its classes, and the space of values."""
        return EntityKnowledge(self.labels.shape, self.space, yearly=False).to_dict()


def build_network(settings: Settings, source: BlockSource, out: int) -> nn.Module:
    """A network as deep as the source's blocks, with fresh weights.

    Args:
        settings: ``model.convolution``, ``model.hidden`` and ``model.feature_channels`` count.
        source: of blocks.
        out: channels of the output.
    """
    chosen = settings.model.convolution
    if chosen == "auto":
        chosen = "importance" if settings.sampling.strategy == "walk" else "mean"
    return BlockNetwork(
        source.paths,
        source.table,
        source.widths,
        settings.model.hidden,
        out,
        CONVOLUTIONS[chosen],
        source.categories,
        settings.model.feature_channels,
    )


def _attention(parents: int, children: int, out: int) -> GATv2Conv:
    """With four heads, or as many as divide the output."""
    return GATv2Conv(parents, children, out, heads=math.gcd(4, out))


CONVOLUTIONS: dict[str, Convolution] = {
    "mean": SAGEConv,
    "sum": partial(SAGEConv, pooling="sum"),
    "max": partial(SAGEConv, pooling="max"),
    "attention": _attention,
    "importance": ImportanceConv,
}
"""By their names in the configuration."""
