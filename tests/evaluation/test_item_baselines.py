from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from gnnscale.collaborative import Interactions, ease_weights, item_knn_weights
from gnnscale.config import build_settings
from gnnscale.evaluation.baselines.baseline import link_baselines
from gnnscale.evaluation.baselines.link_baselines import DAY
from gnnscale.evaluation.link_holdout import share_of_repeats
from gnnscale.query import TEMPORAL_LINK_PREDICTION
from gnnscale.retrieval import History

SETTINGS = build_settings(
    {
        "recipe": "r",
        "lake": {"uri": "lake"},
        "tables": {},
        "query": {"name": "q", "text": "PREDICT LIST_DISTINCT(b.c, 0, 7, days) FOR EACH a.k"},
    }
)
OURS = link_baselines(TEMPORAL_LINK_PREDICTION)


def history(*events: tuple[int, int, int], n_entities: int = 4, n_items: int = 6) -> History:
    """Events of (entity, item, age in days)."""
    table = np.array(events, dtype=np.int64).reshape(-1, 3)
    return History(table[:, 0], table[:, 1], table[:, 2] * DAY, n_entities, n_items)


# 0 and 1 go together, 2 and 3 do; entity 3 has only had 0; item 5 is what most had lately
PAIRED = history(
    *((0, 0, 1), (0, 1, 1), (1, 0, 2), (1, 1, 2), (2, 2, 1), (2, 3, 1), (3, 0, 1)),
    *((0, 5, 1), (2, 5, 1), (4, 5, 1), (5, 5, 1)),
    n_entities=6,
)


def test_what_goes_together_comes_first():
    for name in ("item_knn", "ease", "graph_filter"):
        lists = OURS[name].lists(SETTINGS, PAIRED, np.array([3, 2]), 3)
        assert lists["explore"][0, 0] == 1, name
        assert 0 not in lists["explore"][0]
        assert set(lists["repeat"][1][lists["repeat"][1] >= 0]) <= {2, 3, 5}
        assert lists["repeat"].shape == lists["all"].shape == (2, 3)


def test_who_has_had_nothing_gets_what_is_popular():
    nobody = history((0, 2, 1), (1, 2, 1), (0, 4, 1), n_entities=3)
    for name in ("item_knn", "ease", "graph_filter"):
        assert OURS[name].lists(SETTINGS, nobody, np.array([2]), 3)["all"].tolist() == [[2, 4, -1]]


def test_a_history_without_events_gives_empty_lists():
    for name in ("item_knn", "ease", "graph_filter"):
        lists = OURS[name].lists(SETTINGS, history(), np.array([0, 1]), 2)
        assert all((found == -1).all() for found in lists.values())


def test_ease_solves_its_own_problem():
    """Each column is the ridge of its item on all others (Steck 2019, eq. 4)."""
    rng = np.random.default_rng(0)
    matrix = (rng.random((40, 6)) < 0.4).astype(np.float32)
    entity, item = np.nonzero(matrix)
    seen = Interactions.of(History(entity, item, np.zeros(len(item), np.int64), 40, 6), DAY)
    weights = ease_weights(seen, 3.0)
    for target in range(6):
        others = [i for i in range(6) if i != target]
        inputs = matrix[:, others].astype(np.float64)
        right = np.linalg.solve(inputs.T @ inputs + 3.0 * np.eye(5), inputs.T @ matrix[:, target])
        assert weights[others, target] == pytest.approx(right, abs=1e-5)
        assert weights[target, target] == 0


def test_item_knn_holds_cosines_of_the_nearest():
    rng = np.random.default_rng(1)
    entity, item, age = rng.integers(0, 30, 300), rng.integers(0, 8, 300), rng.integers(0, 90 * DAY, 300)
    seen = Interactions.of(History(entity, item, age, 30, 8), 30 * DAY)
    dense = np.zeros((30, 8))
    np.add.at(dense, (entity, item), np.exp2(-age / (30 * DAY)))
    cosine = (dense / np.linalg.norm(dense, axis=0)).T @ (dense / np.linalg.norm(dense, axis=0))
    np.fill_diagonal(cosine, 0)
    for column in range(8):
        cosine[np.argsort(-cosine[:, column])[3:], column] = 0
    assert item_knn_weights(seen, 3).toarray() == pytest.approx(cosine, abs=1e-5)


@given(st.integers(0, 2**32 - 1))
def test_the_order_of_the_rows_does_not_matter(seed):
    check_order(seed, ("item_knn", "ease"))


@pytest.mark.parametrize("seed", range(4))
def test_nor_does_it_to_the_mix(seed):
    check_order(seed, ("graph_filter",))


def check_order(seed, names):
    rng = np.random.default_rng(seed)
    entity, item, age = rng.integers(0, 6, 40), rng.integers(0, 9, 40), rng.integers(0, 50 * DAY, 40)
    order = rng.permutation(40)
    first = History(entity, item, age, 6, 9)
    second = History(entity[order], item[order], age[order], 6, 9)
    for name in names:
        lists, others = (OURS[name].lists(SETTINGS, h, np.arange(6), 4) for h in (first, second))
        assert all((lists[part] == others[part]).all() for part in lists)
        had = first.past.contains(np.where(lists["explore"] >= 0, lists["explore"], 99))
        assert not had.any()


def test_only_the_items_with_most_events_and_the_heaviest_of_an_entity_take_part():
    seen = Interactions.of(PAIRED, DAY, most_items=2)
    assert seen.items.tolist() == [0, 5]
    assert scipy.sparse.issparse(seen.weights) and seen.weights.shape == (6, 2)


def test_repeats_are_told_from_lines_of_one_moment():
    assert share_of_repeats(history((0, 1, 3), (0, 1, 3), (0, 2, 3))) == 0
    assert share_of_repeats(history((0, 1, 3), (0, 1, 2))) == 0.5
    assert share_of_repeats(history()) == 0


def test_scored_lists_are_the_lists_with_falling_scores():
    rng = np.random.default_rng(5)
    known = History(rng.integers(0, 30, 200), rng.integers(0, 12, 200), rng.integers(0, 90 * DAY, 200), 31, 12)
    entities = np.array([4, 30, 7])
    for name, baseline in OURS.items():
        ranked, scores = baseline.scored_lists(SETTINGS, known, entities, 8)
        assert (ranked == baseline.lists(SETTINGS, known, entities, 8)["all"]).all(), name
        assert (scores[:, 1:] <= scores[:, :-1]).all() and ((scores == -np.inf) == (ranked < 0)).all(), name
    ranked, scores = OURS["ease"].scored_lists(SETTINGS, known, entities, 8)
    seen = Interactions.of(known, SETTINGS.evaluation.half_life_days * DAY)
    exact = seen.weights[entities] @ ease_weights(seen, SETTINGS.evaluation.ease_l2)
    listed = (scores > 0) & np.isfinite(scores)
    assert listed.any()
    assert scores[listed] == pytest.approx(np.take_along_axis(exact, np.maximum(ranked, 0), 1)[listed], rel=1e-4)
    assert (scores[1][ranked[1] >= 0] == 0).all()  # the entity has had nothing
