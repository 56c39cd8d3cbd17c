from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.metrics import (
    LinkPredCoverage,
    LinkPredHitRatio,
    LinkPredMAP,
    LinkPredMRR,
    LinkPredNDCG,
    LinkPredRecall,
)

from gnnscale.arrays import Ragged
from gnnscale.metrics.ranking_metrics import evaluate_ranking
from gnnscale.schema.errors import DataError

PEERS = {
    "map@10": LinkPredMAP(10),
    "recall@10": LinkPredRecall(10),
    "recall@20": LinkPredRecall(20),
    "ndcg@10": LinkPredNDCG(10),
    "hit_rate@10": LinkPredHitRatio(10),
    "mrr@10": LinkPredMRR(10),
}


def test_worked_by_hand() -> None:
    # row 0: hits at ranks 1 and 3, T = 3; row 1: no truth; row 2: hit at rank 2, T = 1
    ranked = np.array([[7, 1, 5, 2], [0, 1, 2, 3], [4, 9, -1, -1]])
    truth = Ragged.from_lists([[5, 7, 8], [], [9]])
    metrics = evaluate_ranking(ranked, truth, n_items=10, ks=(3, 4))
    assert metrics.rows.tolist() == [0, 2]
    assert metrics.n_evaluated == 2

    def gain(*ranks: int) -> float:
        return sum(1 / math.log2(rank + 1) for rank in ranks)

    expected: dict[str, list[float]] = {
        "map@3": [(1 / 1 + 2 / 3) / 3, 1 / 2],
        "recall@3": [2 / 3, 1],
        "recall@4": [2 / 3, 1],
        "ndcg@3": [gain(1, 3) / gain(1, 2, 3), gain(2) / gain(1)],
        "hit_rate@3": [1, 1],
        "mrr@3": [1, 1 / 2],
    }
    assert set(metrics.per_entity) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(metrics.per_entity[name], values)
        assert metrics.means[name] == pytest.approx(np.mean(values))
    assert metrics.means["coverage@3"] == 7 / 10  # 7 1 5, 0 1 2, 4 9: seven different of ten


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 12),
    n_items=st.integers(1, 60),
    width=st.integers(1, 25),
)
def test_equals_torch_geometric(seed: int, n: int, n_items: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    width = min(width, n_items)
    ranked = np.stack([rng.permutation(n_items)[:width] for _ in range(n)])
    ranked[np.arange(width) >= rng.integers(0, width + 1, size=(n, 1))] = -1
    truth = Ragged.from_lists(
        [rng.choice(n_items, size=rng.integers(0, min(n_items, 25) + 1), replace=False) for _ in range(n)]
    )
    metrics = evaluate_ranking(ranked, truth, n_items)
    assert list(metrics.means) == [*PEERS, "coverage@10"]

    # torch_geometric has no id for "no prediction", so it gets one past the catalogue
    predictions = torch.from_numpy(np.where(ranked < 0, n_items, ranked))
    labels = torch.from_numpy(np.stack([truth.row_of_value, truth.values]))
    for name, peer in PEERS.items():
        peer.reset()
        peer.update(predictions, labels)
        assert metrics.means[name] == pytest.approx(float(peer.compute()), abs=1e-5), name
    coverage = LinkPredCoverage(10, n_items + 1)
    coverage.update(predictions, labels)
    assert metrics.means["coverage@10"] == pytest.approx(int(coverage.mask[:n_items].sum()) / n_items)


def test_nothing_counts_after_minus_one() -> None:
    truth = Ragged.from_lists([[1, 2]])
    cut = evaluate_ranking([[1, -1, 2, 1]], truth, 5)
    assert cut.means == evaluate_ranking([[1, -1, -1, -1]], truth, 5).means
    assert cut.means["recall@10"] == 0.5
    assert cut.means["coverage@10"] == 1 / 5


def test_no_truth_at_all_and_no_entities() -> None:
    for n in (0, 1):
        metrics = evaluate_ranking(np.zeros((n, 1)), Ragged.from_lists([[]] * n), 5)
        assert metrics.n_evaluated == 0
        assert metrics.means["map@10"] == 0.0
        assert metrics.per_entity["map@10"].shape == (0,)


def test_lists_of_no_length_score_zero() -> None:
    metrics = evaluate_ranking(np.zeros((1, 0), dtype=np.int64), Ragged.from_lists([[1]]), 5)
    assert set(metrics.means.values()) == {0.0}


@pytest.mark.parametrize(
    ("ranked", "part"),
    [
        ([[1, 2], [3, 3]], "ranked row 1 names an item twice"),
        ([[1, 2], [3, 9]], r"ranked: ids must be in 0 \.\. 8"),
        ([[1, 2]], r"ranked must be \[2, K\]"),
        ([[1, -2], [0, 1]], "ranked: ids"),
    ],
)
def test_faults_are_named(ranked: list[list[int]], part: str) -> None:
    with pytest.raises(DataError, match=part):
        evaluate_ranking(ranked, Ragged.from_lists([[1], [2]]), 9)


def test_lengths_must_be_positive() -> None:
    with pytest.raises(DataError, match="ks"):
        evaluate_ranking([[1]], Ragged.from_lists([[1]]), 2, ks=(0,))
