"""Search over both branches equals brute force over every target."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnscale.arrays import Ragged
from gnnscale.evaluation.link_holdout import tied
from gnnscale.retrieval import PairScores, rank_exact
from gnnscale.retrieval.index.flat_index import FlatIndex
from gnnscale.retrieval.ranking.merge import search_merged
from gnnscale.schema import DataError


@dataclass
class Case:
    """Vectors and pairs of some entities, with the scores of every target."""

    entities: np.ndarray
    targets: np.ndarray
    pairs: PairScores
    scores: np.ndarray

    def best(self, k: int) -> np.ndarray:
        """Best first, ties to the smaller target, ``[entities, min(k, targets)]``."""
        ids = np.arange(self.scores.shape[1])
        return np.stack([np.lexsort((ids, -row))[:k] for row in self.scores])


def make_case(seed: int, entities: int, targets: int, known: list[int], ties: bool = False) -> Case:
    """``known`` targets of each entity have a pair score; without ``ties`` no two scores are the same."""
    rng = np.random.default_rng(seed)
    if ties:
        right = rng.integers(-1, 2, (targets, 2)).astype(np.float32)
        left = rng.integers(-1, 2, (entities, 2)).astype(np.float32)
    else:
        right = rng.permutation(targets)[:, None].astype(np.float32)
        left = rng.choice([-2.0, 1.0, 3.0], (entities, 1)).astype(np.float32)
    scores = left @ right.T
    lists = [np.sort(rng.permutation(targets)[: known[i % len(known)]]) for i in range(entities)]
    values = []
    for i, own in enumerate(lists):
        span = 3 if ties else 10 * targets
        drawn = rng.integers(-3, 3, len(own)) if ties else rng.permutation(2 * span)[: len(own)] - span + 0.5
        scores[i, own] = drawn
        values.append(drawn)
    pairs = PairScores(
        np.cumsum([0, *map(len, lists)]).astype(np.int64),
        np.concatenate([*lists, []]).astype(np.int64),
        np.concatenate([*values, []]).astype(np.float32),
    )
    return Case(left, right, pairs, scores)


sizes = st.integers(1, 40)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), sizes, st.integers(1, 45), st.integers(1, 50), st.data())
def test_merged_search_equals_brute_force(seed, entities, targets, k, depth, data):
    known = data.draw(st.lists(st.integers(0, targets), min_size=1, max_size=4))
    case = make_case(seed, entities, targets, known)
    rows = np.arange(entities)
    found = search_merged(FlatIndex(case.targets), case.entities, case.pairs, rows, k, depth)
    expected = case.best(k)
    assert found.targets.shape == (entities, min(k, targets))
    np.testing.assert_array_equal(found.targets, expected)
    np.testing.assert_array_equal(found.scores, np.take_along_axis(case.scores, expected, 1))
    exact = rank_exact(case.entities, case.targets, case.pairs, rows, k)
    np.testing.assert_array_equal(exact.targets[:, :targets], expected)
    assert (exact.targets[:, targets:] == -1).all()
    # What is not there leaves its place to the next, and none is short while there are more.
    there = np.random.default_rng(seed).random(targets) < 0.5
    open_now = rank_exact(case.entities, case.targets, case.pairs, rows, k, there=there)
    whole = case.best(targets)
    for row in rows:
        wanted = [target for target in whole[row] if there[target]][:k]
        assert open_now.targets[row].tolist() == wanted + [-1] * (k - len(wanted))


@pytest.mark.parametrize("depth", [1, 3, 100])
@pytest.mark.parametrize("known", [[0], [25], [0, 25, 12], [24]])
@pytest.mark.parametrize("k", [1, 24, 25, 30])
def test_no_pairs_and_all_pairs_are_no_special_case(depth, known, k):
    case = make_case(3, 5, 25, known)
    found = search_merged(FlatIndex(case.targets), case.entities, case.pairs, np.arange(5), k, depth)
    np.testing.assert_array_equal(found.targets, case.best(k))


def test_rows_say_which_entities_these_are():
    case = make_case(1, 6, 20, [0, 3, 20])
    rows = np.array([5, 0, 2])
    found = search_merged(FlatIndex(case.targets), case.entities[rows], case.pairs, rows, 7, 2)
    np.testing.assert_array_equal(found.targets, case.best(7)[rows])
    exact = rank_exact(case.entities[rows], case.targets, case.pairs, rows, 7)
    np.testing.assert_array_equal(exact.targets, case.best(7)[rows])


@pytest.mark.parametrize("seed", range(5))
def test_ties_go_to_the_smaller_target(seed):
    case = make_case(seed, 20, 60, [0, 5, 30], ties=True)
    found = search_merged(FlatIndex(case.targets), case.entities, case.pairs, np.arange(20), 12, 3)
    np.testing.assert_array_equal(found.scores, np.take_along_axis(case.scores, case.best(12), 1))
    np.testing.assert_array_equal(found.targets, case.best(12))


def test_with_ties_every_list_has_the_best_scores_and_no_target_twice():
    case = make_case(0, 20, 60, [0, 5, 30], ties=True)
    for found in (
        search_merged(FlatIndex(case.targets), case.entities, case.pairs, np.arange(20), 12, 3),
        rank_exact(case.entities, case.targets, case.pairs, np.arange(20), 12),
    ):
        np.testing.assert_array_equal(found.scores, np.take_along_axis(case.scores, case.best(12), 1))
        for i, row in enumerate(found.targets):
            assert len(set(row)) == 12
            np.testing.assert_array_equal(case.scores[i, row], found.scores[i])


def test_without_pairs_only_the_tower_counts():
    case = make_case(2, 4, 15, [6])
    found = rank_exact(case.entities, case.targets, None, np.arange(4), 5)
    tower = case.entities @ case.targets.T
    np.testing.assert_array_equal(found.targets, np.argsort(-tower, axis=1, kind="stable")[:, :5])


@pytest.mark.parametrize("among", ["repeat", "explore"])
def test_a_part_of_the_targets_is_ranked_alone(among):
    case = make_case(4, 3, 12, [4])
    past = Ragged.from_lists([[0, 1, 2], [], range(12)])
    found = rank_exact(case.entities, case.targets, case.pairs, np.arange(3), 5, past, among)
    for i in range(3):
        before = set(past.row(i).tolist())
        allowed = [t for t in case.best(12)[i] if (t in before) == (among == "repeat")][:5]
        assert found.targets[i].tolist() == allowed + [-1] * (5 - len(allowed))


def test_queries_of_another_width_are_refused():
    index = FlatIndex(np.zeros((3, 4), np.float32))
    with pytest.raises(DataError, match="queries have 5 channels and the index 4"):
        index.search(np.zeros((1, 5), np.float32), 1)


def test_only_rounding_makes_a_tie():
    scores = np.array([1.0, -3.0, 1e-9, -np.inf], np.float32)
    near = np.nextafter(scores, np.float32(9), dtype=np.float32)
    assert tied(scores, near)[:3].all() and tied(scores, scores).all()
    assert not tied(scores, np.array([1.001, -3.001, 1e-3, 0.0], np.float32)).any()
