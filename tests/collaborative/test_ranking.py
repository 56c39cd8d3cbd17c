from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnscale.arrays import Ragged
from gnnscale.collaborative import best_items, evaluate_scorer, hold_out, make_recommender
from tests.collaborative.matrices import random_matrix


@given(st.integers(0, 2**32 - 1))
def test_lists_are_those_of_a_sort(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 5, (7, 15)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.1] = -np.inf
    seen, truth = (Ragged.from_pairs(rng.integers(0, 7, 20), rng.integers(0, 15, 20), 7) for _ in range(2))
    items, values = best_items(scores, seen, 6, truth)
    for row in range(7):
        free = [i for i in range(15) if i not in seen.row(row) and scores[row, i] > -np.inf]
        right = sorted(free, key=lambda i: (-scores[row, i], i in truth.row(row), i))[:6]
        assert items[row].tolist() == right + [-1] * (6 - len(right))
        assert values[row, : len(right)].tolist() == scores[row, right].tolist()


def test_a_method_that_says_nothing_finds_nothing() -> None:
    class Same:
        def score(self, users: np.ndarray) -> np.ndarray:
            return np.zeros((len(users), 50), np.float32)

    train, held = hold_out(random_matrix(40, 50, 0.2), 0.2)
    assert evaluate_scorer(Same(), train, held, ["recall@5"]).means["recall@5"] == 0


def test_held_out_edges_are_a_share_of_each_users() -> None:
    whole = random_matrix(40, 50, 0.2)
    train, held = hold_out(whole, 0.25, seed=4)
    assert (train + held != whole).nnz == 0 and train.multiply(held).nnz == 0
    assert (np.diff(held.indptr) == np.rint(np.diff(whole.indptr) * 0.25)).all()
    assert (hold_out(whole, 0.25, seed=4)[1] != held).nnz == 0
    assert (hold_out(whole, 0.25, seed=5)[1] != held).nnz > 0
    assert hold_out(random_matrix(4, 5, 0.3), 0.01)[1].nnz == 0


def test_chance_finds_its_share() -> None:
    train, held = hold_out(random_matrix(400, 100, 0.2), 0.2)
    found = evaluate_scorer(make_recommender("random").fit(train), train, held, ["recall@20"]).means["recall@20"]
    assert found == pytest.approx(20 / 84, abs=0.02)
