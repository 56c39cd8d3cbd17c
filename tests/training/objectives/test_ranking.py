"""The ranking of all targets against sorting them by hand, over several anchors and processes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from gnnscale.arrays import Ragged
from gnnscale.batches import Batch, Examples
from gnnscale.metrics import evaluate_lists
from gnnscale.nn import NOT_YET
from gnnscale.query import TEMPORAL_LINK_PREDICTION
from gnnscale.schema import ConfigError
from gnnscale.training import DistributedContext, LinkPredictor
from gnnscale.training.objectives.link_objective import link_selection
from gnnscale.training.objectives.objective import ModelSelection
from gnnscale.training.objectives.ranking import rank_targets, validate_ranking
from gnnscale.training.predictors.link_predictor import ScoredEntities

ENTITIES, CHANNELS, DEPTH = 300, 4, 20
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
    whole, own = rank_targets(predictor, predictor.entity_batch, anchors, rows, targets, DEPTH, DistributedContext())
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
        rank_targets(predictor, predictor.entity_batch, anchors, rows, targets, DEPTH, DistributedContext(rank, 3))
        for rank in range(3)
    ]
    ranked = {row: found.tolist() for part, mine in parts for row, found in zip(mine, part, strict=True)}
    assert ranked == {row: found.tolist() for row, found in zip(own, whole, strict=True)}


def test_a_task_is_validated_by_the_metrics_that_it_names() -> None:
    names, targets = ("ndcg@3", "recall@30"), 60
    predictor, rows = TablePredictor(targets), np.arange(50)
    anchors = np.full(50, 100 * DAY, np.int32)
    examples = Examples(rows, anchors, np.arange(51), np.arange(50) % targets)
    given = predictor, predictor.entity_batch
    figures = validate_ranking(*given, examples, rows, targets, names, DistributedContext())
    ranked, own = rank_targets(*given, anchors, rows, targets, 30, DistributedContext())
    truth = examples.take(own)
    expected = evaluate_lists(names, ranked, Ragged(truth.indptr, truth.targets), targets).means
    assert tuple(figures) == names and figures == pytest.approx(expected) and figures["recall@30"] > 0
    task = replace(TEMPORAL_LINK_PREDICTION, name="own links", validation=names)
    assert link_selection(task) == ModelSelection("ndcg@3")
    assert link_selection(TEMPORAL_LINK_PREDICTION) == ModelSelection("map@10")
    with pytest.raises(ConfigError, match="own links can't be validated by coverage@10: it has no value per entity"):
        link_selection(replace(task, validation=("map@10", "coverage@10")))
