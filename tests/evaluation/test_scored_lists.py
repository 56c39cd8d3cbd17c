"""Candidates with scores agree with the ranked lists of the same baseline, for any block of entities."""

from __future__ import annotations

import numpy as np
import pytest

from gnnscale.evaluation.baselines.baseline import RankBaseline
from gnnscale.evaluation.baselines.link_baselines import popularity
from gnnscale.retrieval import History
from tests.evaluation.test_item_baselines import OURS, SETTINGS

N, ITEMS, K = 40, 30, 8
DAY = 86_400


@pytest.fixture(scope="module")
def past() -> History:
    rng = np.random.default_rng(0)
    items = rng.integers(0, ITEMS, 500) ** 2 // ITEMS
    return History(rng.integers(0, N - 2, 500), items, rng.integers(0, 200 * DAY, 500), N, ITEMS)


@pytest.mark.parametrize("among", ["all", "explore"])
@pytest.mark.parametrize("name", OURS)
def test_candidates_are_the_lists_with_falling_scores(past, name, among):
    entities = np.array([39, 3, 17, 0])
    ids, scores = OURS[name].scored_lists(SETTINGS, past, entities, K, among=among)
    assert ids.shape == scores.shape == (4, K) and scores.dtype == np.float32
    np.testing.assert_array_equal(ids, OURS[name].lists(SETTINGS, past, entities, K)[among])
    assert (scores[ids < 0] == -np.inf).all() and np.isfinite(scores[ids >= 0]).all()
    assert (np.diff(np.where(ids >= 0, scores, -1e9), axis=1) <= 0).all()
    if among == "explore":
        assert not past.past.take(entities).contains(ids).any()


@pytest.mark.parametrize("name", OURS)
def test_a_list_as_long_as_the_catalogue_names_nothing_twice(past, name):
    ids, _ = OURS[name].scored_lists(SETTINGS, past, np.arange(N), ITEMS)
    for row in ids:
        assert len(set(row[row >= 0])) == (row >= 0).sum()


def test_blocks_of_entities_give_what_all_at_once_do(past):
    for baseline in OURS.values():
        whole = baseline.scored_lists(SETTINGS, past, np.arange(N), K)
        parts = [baseline.scored_lists(SETTINGS, past, np.arange(s, s + 10), K) for s in range(0, N, 10)]
        for at in (0, 1):
            np.testing.assert_array_equal(np.concatenate([part[at] for part in parts]), whole[at])


def test_scores_are_what_the_baseline_counts(past):
    ids, scores = OURS["popularity"].scored_lists(SETTINGS, past, np.array([5]), K)
    recent = np.bincount(past.item[past.age < 30 * DAY], minlength=ITEMS)
    np.testing.assert_array_equal(scores[0], recent[ids[0]])
    ids, scores = OURS["recency_weighted_frequency"].scored_lists(SETTINGS, past, np.array([5]), K)
    mine = past.entity == 5
    summed = np.bincount(past.item[mine], np.exp2(-past.age[mine] / (90 * DAY)), ITEMS)
    np.testing.assert_allclose(scores[0], summed[ids[0]], rtol=1e-6)


def test_a_baseline_of_ones_own_is_scored_by_its_ranks(past):
    own = RankBaseline("own", "Own", "What is popular.", rank=popularity)
    ids, scores = own.scored_lists(SETTINGS, past, np.array([1, 2]), 4)
    np.testing.assert_array_equal(ids, popularity(past, 4)[[1, 2]])
    np.testing.assert_allclose(scores, np.tile(1 / np.arange(2, 6), (2, 1)))
