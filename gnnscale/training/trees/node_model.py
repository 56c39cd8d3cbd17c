"""Boosted trees of node-level tasks in the place of a network: batches of features, and what answers them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.batches import Batch, EntityExamples
from gnnscale.features import ClassFeatures, EntityFeatures
from gnnscale.training.objectives.node_knowledge import NodeKnowledge
from gnnscale.training.trees.boosted_trees import BoostedTrees
from gnnscale.training.trees.refit_model import RefitModel

LEAST = 1e-6
"""Probabilities nearer to 0 or 1 are answered as this far from it."""


@dataclass(frozen=True)
class FeatureBatch(Batch):
    """Features of some examples.

    Args:
        features: float32 ``[examples, features]``.
        pairs: of each example and class, float32 ``[examples, classes, features]``; None for none.
        edges: that were sampled: none.
    """

    features: Tensor
    pairs: Tensor | None = None
    edges: int = 0


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """The same as arrays, as trees take them; the past of an entity is none of its features."""

    features: NDArray[np.float32]
    pairs: NDArray[np.float32] | None = None

    @property
    def past(self) -> NDArray[np.float32]:
        """Of no width, float32 ``[examples, 0]``."""
        return self.features[:, :0]

    def batch(self) -> FeatureBatch:
        """The same as tensors."""
        pairs = None if self.pairs is None else torch.from_numpy(self.pairs)
        return FeatureBatch(torch.from_numpy(self.features), pairs)

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True, eq=False)
class FeatureSource:
    """Features of labelled examples, and of any entities; see :class:`gnnscale.batches.AnywhereSource`.

    Args:
        features: of an entity.
        pairs: of an entity and each class; None for none.
        examples: by row number.
    """

    features: EntityFeatures
    pairs: ClassFeatures | None
    examples: EntityExamples

    def table(self, rows: NDArray[np.int64]) -> FeatureTable:
        """Features of some examples."""
        return self._of(self.examples.entities[rows], self.examples.anchors[rows])

    def around(self, entities: NDArray[np.int64], anchors: NDArray[np.int32], epoch: int = 0) -> FeatureBatch:
        """Features of any entities."""
        return self._of(entities, anchors).batch()

    def _of(self, entities: NDArray[np.int64], anchors: NDArray[np.int32]) -> FeatureTable:
        pairs = None if self.pairs is None else self.pairs.compute(entities, anchors)
        return FeatureTable(self.features.compute(entities, anchors), pairs)


class TreesModel(RefitModel):
    """Boosted trees that answer as a network does; their text is the only weight.

    Args:
        trees: of the task; none are grown yet.
        knowledge: turns outputs into answers, which the outputs are the inverse of.
        names: of the features.
    """

    def __init__(self, trees: BoostedTrees, knowledge: NodeKnowledge, names: tuple[str, ...]) -> None:
        super().__init__(names)
        self.trees, self.knowledge = trees, knowledge

    def forward(self, batch: FeatureBatch) -> Tensor:
        """Outputs ``[examples, scores]``."""
        pairs = None if batch.pairs is None else batch.pairs.cpu().numpy()
        found = self.trees.predict(FeatureTable(batch.features.cpu().numpy(), pairs))
        answers = torch.from_numpy(found).to(batch.features.device)
        head = self.knowledge.shape.task.head
        if head == "identity":
            return self.knowledge.space.encode(answers)
        inside = answers.clamp(LEAST, 1 - LEAST)
        return inside.log() if head == "softmax" else inside.logit()

    def to_text(self) -> str:
        """The trees, as JSON of LightGBM's text."""
        return self.trees.to_text()

    def read_text(self, text: str) -> None:
        """Inverse of :meth:`to_text`."""
        self.trees.read_text(text)
