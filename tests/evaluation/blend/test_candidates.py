"""Candidates of several methods are put together once each, on one scale, and ranked under a cap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnscale.evaluation.blend.candidate_pool import LEVEL, TRANSFORMS, best_of, comparable, pool_candidates

IDS = np.array([[4, 2, 9, -1], [1, -1, -1, -1], [-1, -1, -1, -1]])
SCORES = np.array([[5.0, 3.0, 1.0, -np.inf], [7.0, *[-np.inf] * 3], [-np.inf] * 4], np.float32)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_scores_of_any_method_are_0_or_more_and_keep_their_order(transform):
    found = comparable(IDS, SCORES, transform, 4)
    assert np.isfinite(found).all() and (found >= 0).all() and (found[IDS < 0] == 0).all()
    assert found[0, 0] > found[0, 1] > found[0, 2] >= 0
    # Neither unit nor origin of a method's scores counts.
    np.testing.assert_allclose(comparable(IDS, SCORES * 3 + 100, transform, 4), found, atol=1e-5)


def test_ranks_and_deviations_are_those_of_their_definitions():
    rank = comparable(IDS, SCORES, "rank", 4)
    np.testing.assert_allclose(rank[0, :3], 1 - np.log([1, 2, 3]) / np.log(5), rtol=1e-6)
    # How wide the arrays are says nothing of how far a method looks.
    np.testing.assert_array_equal(comparable(IDS[:, :3], SCORES[:, :3], "rank", 4), rank[:, :3])
    spread = np.std([5, 3, 1])
    expected = np.array([4, 2, 0]) / spread + LEVEL
    np.testing.assert_allclose(comparable(IDS, SCORES, "z", 4)[0, :3], expected, rtol=1e-6)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_level_candidates_keep_the_order_that_their_method_gave_them(transform):
    """Purchases are counted, and the more popular of two that were bought as often comes first."""
    ids, scores = np.array([[7, 2, 9, 4, 1, -1]]), np.array([[3, 1, 1, 1, 0, 0]], np.float32)
    pool = pool_candidates([(ids, scores), (ids[:, :1], scores[:, :1])], transform, 100)
    assert best_of(pool.targets, pool.scores(np.array([1.0, 0.0])), 5)[0].tolist() == [[7, 2, 9, 4, 1]]


@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_a_pool_is_every_candidate_once_with_the_weighted_sum_of_its_scores(methods, k, seed):
    rng = np.random.default_rng(seed)
    lists = []
    for _ in range(methods):
        ids = np.stack([rng.permutation(8)[:k] for _ in range(3)])
        ids[np.arange(k) >= rng.integers(0, k + 1, 3)[:, None]] = -1
        lists.append((ids, -np.sort(-rng.random((3, k)), axis=1).astype(np.float32)))
    weights = rng.random(methods)
    pool = pool_candidates(lists, "rank", 6)
    scores = pool.scores(weights)
    for row in range(3):
        expected: dict[int, float] = {}
        for (ids, values), weight in zip(lists, weights, strict=True):
            for target, value in zip(ids[row], comparable(ids, values, "rank", 6)[row], strict=True):
                if target >= 0:
                    expected[int(target)] = expected.get(int(target), 0) + weight * float(value)
        there = pool.targets[row] >= 0
        assert pool.targets[row][there].tolist() == sorted(expected)
        assert scores[row][there] == pytest.approx([expected[t] for t in sorted(expected)], abs=1e-5)
        assert np.isneginf(scores[row][~there]).all()


def test_the_best_come_first_ties_to_the_smaller_and_a_category_has_its_cap():
    targets = np.array([[0, 1, 2, 3, 4, -1]])
    scores = np.array([[1.0, 5.0, 5.0, 4.0, 3.0, -np.inf]], np.float32)
    ranked, value = best_of(targets, scores, 3)
    assert ranked.tolist() == [[1, 2, 3]] and value.tolist() == [[5, 5, 4]]
    codes = np.array([7, 7, 7, 7, -1], np.int32)
    assert best_of(targets, scores, 4, codes, 2)[0].tolist() == [[1, 2, 4, -1]]
    long, short = best_of(targets, scores, 8)
    assert long.tolist() == [[1, 2, 3, 4, 0, -1, -1, -1]] and np.isneginf(short[0, 5:]).all()
