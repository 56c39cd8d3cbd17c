"""Boosted trees of links in the place of a network: candidates with their features, and what scores them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.arrays import Ragged
from gnnscale.batches import Batch, Examples, Tensors
from gnnscale.config import Settings
from gnnscale.features import Candidates, PairFeatures
from gnnscale.nn import NOT_YET
from gnnscale.store import NodeFeatures
from gnnscale.training.predictors.link_predictor import LinkPredictor, ScoredEntities
from gnnscale.training.trees.boosters import boosters_from_text, boosters_to_text, mean_scores
from gnnscale.training.trees.refit_model import RefitModel

BELOW: Final = 100.0
"""How far a target that is no candidate is scored below the lowest score of training, where more popular ones are a
little less far."""

LEAST_SPREAD: Final = 1e-6
"""Of the scores of an example's candidates: those of one candidate have none."""

POPULARITY: Final = "target_count(28d)"
"""The feature that orders targets that are no candidates."""


@dataclass(frozen=True)
class CandidateBatch(Batch):
    """Features of the candidates of some entities at one anchor.

    Args:
        features: float32 ``[pairs, features]``.
        example: which entity, int64 ``[pairs]``, ascending.
        target: node ids, int64 ``[pairs]``.
        entities: node ids, int64 ``[entities]``.
        edges: that were sampled: none.
    """

    features: Tensor
    example: Tensor
    target: Tensor
    entities: Tensor
    edges: int = 0


@dataclass(frozen=True)
class TargetPopularity(Tensors):
    """How often targets are named lately, float32 ``[targets]``, and whether they are there, bool ``[targets]``."""

    popularity: Tensor
    valid: Tensor


class PairFeatureSource:
    """Candidates of labelled examples, and of any entities; see :class:`gnnscale.batches.LinkBatchSource`.

    Args:
        features: of pairs.
        rows: of the targets' table.
        examples: by row number.
        settings: ``model.trees`` counts.
    """

    def __init__(self, features: PairFeatures, rows: NodeFeatures, examples: Examples, settings: Settings) -> None:
        options = settings.model.trees
        self.features, self.rows, self.examples = features, rows, examples
        self.candidates = Candidates(features, rows, options.own, options.new)

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """None: trees are grown from all at once."""
        return []

    def build(
        self, rows: NDArray[np.int64], epoch: int = 0, targets: NDArray[np.int64] | None = None
    ) -> CandidateBatch:
        """The candidates of some examples of one anchor."""
        return self.around(self.examples.entities[rows], self.examples.anchors[rows])

    def around(self, entities: NDArray[np.int64], anchors: NDArray[np.int32], epoch: int = 0) -> CandidateBatch:
        """The candidates of any entities at one anchor."""
        found, _ = self.candidates.find(entities, int(anchors[0]))
        return self.batch(entities, anchors, found)

    def batch(self, entities: NDArray[np.int64], anchors: NDArray[np.int32], targets: Ragged) -> CandidateBatch:
        """Features of entities and some targets of each."""
        table = self.features.compute(entities, anchors, targets)
        example = torch.from_numpy(targets.row_of_value)
        target = torch.from_numpy(targets.values.astype(np.int64))
        return CandidateBatch(torch.from_numpy(table), example, target, torch.from_numpy(entities))


class LinkTrees(RefitModel):
    """Boosted trees that score candidates; their text is the only weight.

    Args:
        names: of the features.

    Attributes:
        boosters: LightGBM's, of each loss some whose scores are averaged; none before they are grown.
        lowest: score of training.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(names)
        self.lowest = 0.0
        self.boosters: list[list[Any]] = []

    def forward(self, batch: CandidateBatch) -> Tensor:
        """Scores, float32 ``[pairs]``."""
        if not len(batch.features):
            return torch.zeros(0, device=batch.features.device)
        found = self.score(batch.features.cpu().numpy(), batch.example.cpu().numpy())
        return torch.from_numpy(found).to(batch.features.device)

    def score(self, table: NDArray[np.float32], example: NDArray[np.int64]) -> NDArray[np.float32]:
        """The mean over the losses of what their trees say, each in deviations from the example's mean.

        Args:
            table: features ``[pairs, features]``.
            example: that each pair is of, ascending, ``[pairs]``.
        """
        count = np.maximum(np.bincount(example), 1)
        total = np.zeros(len(table))
        for boosters in self.boosters:
            raw = mean_scores(boosters, table, raw=True)
            centered = raw - (np.bincount(example, raw) / count)[example]
            spread = np.sqrt(np.bincount(example, centered * centered) / count)
            total += centered / np.maximum(spread, LEAST_SPREAD)[example]
        return (total / len(self.boosters)).astype(np.float32)

    def to_text(self) -> str:
        """The trees, as JSON of LightGBM's text."""
        return boosters_to_text(self.boosters, {"lowest": self.lowest})

    def read_text(self, text: str) -> None:
        """Inverse of :meth:`to_text`."""
        self.boosters, beside = boosters_from_text(text)
        self.lowest = float(beside["lowest"])


class LinkTreesPredictor(LinkPredictor):
    """Candidates by the trees' scores, and behind them all other targets by popularity.

    Args:
        model: whose trees are grown.
        source: of its batches.
        device: of what it gives.
    """

    def __init__(self, model: LinkTrees, source: PairFeatureSource, device: torch.device) -> None:
        super().__init__(device)
        self.model, self.source = model, source
        self._place = model.names.index(POPULARITY) - model.names.index("target_count(7d)")

    def target_batch(self, nodes: NDArray[np.int64], anchor: int) -> TargetPopularity:
        """How popular targets are."""
        popularity = np.nan_to_num(self.source.features.figures(anchor)[nodes, self._place])
        valid = np.asarray(self.source.rows.is_valid_at(nodes, anchor))
        return TargetPopularity(torch.from_numpy(popularity), torch.from_numpy(valid))

    def entity_batch(self, nodes: NDArray[np.int64], anchor: int) -> CandidateBatch:
        """Some entities with their candidates."""
        return self.source.around(nodes, np.full(len(nodes), anchor, np.int32))

    def target_vectors(self, batch: TargetPopularity) -> Tensor:
        """A zero, and the bias, ``[targets, 2]``."""
        bias = self.model.lowest - BELOW + torch.log1p(batch.popularity)
        bias = bias.masked_fill(~batch.valid, NOT_YET)
        return torch.stack([torch.zeros_like(bias), bias], dim=1)

    def entity_scores(self, batch: CandidateBatch) -> ScoredEntities:
        """A zero and a one for each entity, and the scores of its candidates."""
        vectors = torch.zeros(len(batch.entities), 2, device=batch.features.device)
        vectors[:, 1] = 1
        return ScoredEntities(vectors, batch.example, batch.target, self.model(batch))
