"""The ranking of all targets against sorting them by hand, over several anchors and processes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from gnnscale.batches import Batch
from gnnscale.nn import NOT_YET
from gnnscale.training import DistributedContext, LinkPredictor
from gnnscale.training.objectives.ranking import DEPTH, rank_targets
from gnnscale.training.predictors.link_predictor import ScoredEntities

ENTITIES, CHANNELS = 300, 4
DAY = 86_400


@dataclass(frozen=True)
class Numbered(Batch):
    """Nodes by their numbers, at an anchor."""

    nodes: Tensor
    anchor: int = 0
    edges: int = 0


class TablePredictor(LinkPredictor):
    """Vectors from a table; target t comes on day t, and every entity has a score of its own for target 1."""

    def __init__(self, targets: int) -> None:
        super().__init__(torch.device("cpu"))
        draw = torch.Generator().manual_seed(0)
        self.entities = torch.randn(ENTITIES, CHANNELS, generator=draw)
        self.targets = torch.randn(targets, CHANNELS, generator=draw)

    def target_batch(self, nodes: np.ndarray, anchor: int) -> Numbered:
        return Numbered(torch.from_numpy(nodes), anchor)

    def entity_batch(self, nodes: np.ndarray, anchor: int = 0) -> Numbered:
        return Numbered(torch.from_numpy(nodes))

    def target_vectors(self, batch: Numbered) -> Tensor:
        bias = torch.where(batch.nodes * DAY <= batch.anchor, 0.0, NOT_YET)
        return torch.cat([self.targets[batch.nodes], bias.unsqueeze(1)], dim=1)

    def entity_scores(self, batch: Numbered) -> ScoredEntities:
        count = len(batch.nodes)
        vectors = torch.cat([self.entities[batch.nodes], torch.ones(count, 1)], dim=1)
        return ScoredEntities(vectors, torch.arange(count), torch.ones(count, dtype=torch.int64), torch.ones(count))


@pytest.mark.parametrize("targets", [7, 60])
def test_each_example_gets_the_targets_of_its_anchor_in_order(targets: int) -> None:
    predictor, rng = TablePredictor(targets), np.random.default_rng(1)
    rows = rng.permutation(ENTITIES)[:200]
    anchors = rng.choice(np.array([5, 40], np.int32) * DAY, 200)
    whole, own = rank_targets(predictor, predictor.entity_batch, anchors, rows, targets, DistributedContext())
    assert sorted(own) == sorted(rows) and whole.shape == (200, DEPTH)
    of_row = dict(zip(rows, anchors, strict=True))
    scores = (predictor.entities @ predictor.targets.T).numpy()
    scores[:, 1] = 1
    for row, found in zip(own, whole, strict=True):
        there = np.arange(targets) * DAY <= of_row[row]
        expected = [t for t in np.argsort(-scores[row]) if there[t]][:DEPTH]
        assert found.tolist() == expected + [-1] * (DEPTH - len(expected))
    # Processes share the examples, and rank them as one does.
    parts = [
        rank_targets(predictor, predictor.entity_batch, anchors, rows, targets, DistributedContext(rank, 3))
        for rank in range(3)
    ]
    ranked = {row: found.tolist() for part, mine in parts for row, found in zip(mine, part, strict=True)}
    assert ranked == {row: found.tolist() for row, found in zip(own, whole, strict=True)}
