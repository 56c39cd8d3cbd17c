from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

from gnnscale.collaborative import evaluate_scorer, hold_out, make_recommender
from gnnscale.collaborative.pair_sums import pair_sums
from gnnscale.schema import RECOMMENDERS, ConfigError, DataError
from tests.collaborative.matrices import random_matrix, two_tastes

SMALL = {"low_pass": {"dims": 4}, "pure_svd": {"dims": 4}}
"""A spectrum that is whole gives back what it was given."""

LEARNING = [name for name in RECOMMENDERS.names() if name not in ("popularity", "random")]


@pytest.mark.parametrize("name", LEARNING)
def test_tastes_are_told_apart(name: str) -> None:
    train, held = hold_out(two_tastes(), 0.25)
    model = make_recommender({"name": name, **SMALL.get(name, {})})
    found = evaluate_scorer(model.fit(train), train, held, ["recall@10"]).means["recall@10"]
    popular = evaluate_scorer(make_recommender("popularity").fit(train), train, held, ["recall@10"]).means["recall@10"]
    assert found > popular + 0.15


@pytest.mark.parametrize("name", RECOMMENDERS.names())
def test_scores_are_the_same_again_and_for_any_block_of_users(name: str) -> None:
    seen = two_tastes(seed=1)
    first, second = (make_recommender(name, seed=3).fit(seen) for _ in range(2))
    users = np.array([5, 2, 40])
    assert first.score(users).dtype == np.float32
    np.testing.assert_allclose(first.score(users), second.score(np.arange(80))[users], rtol=1e-4, atol=1e-5)


def test_co_occurrence_is_its_formula() -> None:
    seen = random_matrix()
    dense = seen.toarray().astype(np.float64)
    leveled = dense / dense.sum(1, keepdims=True) ** 0.3 / dense.sum(0) ** 0.45
    weights = (leveled.T @ leveled) ** 0.8
    np.fill_diagonal(weights, 0)
    options = {"name": "co_occurrence", "user_power": 0.6, "item_power": 0.45, "entry_power": 0.8}
    np.testing.assert_allclose(make_recommender(options).fit(seen).score(np.arange(60)), dense @ weights, rtol=1e-4)


def test_pruning_keeps_the_same_share_of_each_row_the_strongest() -> None:
    seen = random_matrix(300, 200, 0.1)
    dense = (seen.T @ seen).toarray()
    np.fill_diagonal(dense, 0)
    total = (dense > 0).sum()
    pruned = pair_sums(seen, int(total * 0.6)).toarray()
    kept = (pruned > 0).sum(1)
    assert (kept == np.ceil((dense > 0).sum(1) * (int(total * 0.6) / total))).all()
    for row in range(200):
        assert (pruned[row][pruned[row] > 0] == dense[row][pruned[row] > 0]).all()
        assert dense[row][(pruned[row] == 0)].max() <= pruned[row][pruned[row] > 0].min()


def test_local_ease_with_all_items_near_is_ease() -> None:
    seen = random_matrix(200, 20, 0.4)
    exact = make_recommender({"name": "ease", "l2": 3.0}).fit(seen).weights
    near = make_recommender({"name": "local_ease", "l2": 3.0, "nearest": 200}).fit(seen).weights.toarray()
    np.testing.assert_allclose(near, exact, atol=1e-4)


def test_local_ease_is_a_ridge_on_the_nearest() -> None:
    seen = random_matrix(200, 20, 0.4)
    seen.data = np.random.default_rng(1).uniform(0.5, 1.5, seen.nnz).astype(np.float32)  # no cosine is that of another
    dense = seen.toarray().astype(np.float64)
    weights = make_recommender({"name": "local_ease", "l2": 3.0, "nearest": 5}).fit(seen).weights.toarray()
    unit = dense / np.linalg.norm(dense, axis=0)
    for item in range(20):
        cosine = unit.T @ unit[:, item]
        cosine[item] = 0
        near = np.sort(np.argsort(-cosine)[:5])
        right = np.linalg.solve(dense[:, near].T @ dense[:, near] + 3 * np.eye(5), dense[:, near].T @ dense[:, item])
        np.testing.assert_allclose(weights[near, item], right, atol=1e-4)
        assert (weights[:, item] != 0).sum() == 5


def test_the_whole_spectrum_lets_everything_through() -> None:
    seen = random_matrix()
    for name in ("low_pass", "pure_svd"):
        scores = make_recommender({"name": name, "dims": 12}).fit(seen).score(np.arange(60))
        np.testing.assert_allclose(scores, seen.toarray(), atol=1e-4)


def test_ials_solves_each_row() -> None:
    """At its end, each item's vector is the ridge of Rendle et al. (2022), eq. 5, on the users' vectors."""
    seen = random_matrix()
    options = {"name": "ials", "dims": 4, "sweeps": 1, "steps": 12, "unobserved": 0.2, "l2": 0.05}
    model = make_recommender(options).fit(seen)
    users = model.users.astype(np.float64)
    for item in range(12):
        own = users[seen[:, item].toarray().ravel() > 0]
        matrix = 0.2 * users.T @ users + own.T @ own + 0.05 * (len(own) + 0.2 * 60) * np.eye(4)
        np.testing.assert_allclose(model.items[item], np.linalg.solve(matrix, own.sum(0)), atol=2e-3)


def test_weights_of_a_mix_go_to_what_helps() -> None:
    mix = make_recommender({"name": "mix", "parts": ["random", "ease"], "held_out": 0.25}).fit(two_tastes(200, 60, 9))
    assert [part.title for part in mix.parts] == ["EASE"]
    few = make_recommender({"name": "mix", "parts": ["popularity", "ease"]}).fit(scipy.sparse.eye(4, format="csr"))
    assert few.weights.tolist() == [0.5, 0.5]  # there was nothing to learn from
    given = make_recommender({"name": "mix", "parts": ["popularity", "ease"], "weights": [1, 3]}).fit(two_tastes())
    assert given.weights.tolist() == [0.25, 0.75]


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(DataError, match=r"ItemKNN: there are no interactions"):
        make_recommender("item_knn").fit(scipy.sparse.csr_matrix((3, 4)))
    with pytest.raises(DataError, match=r"EASE takes no more than 8,000 items, and there are 9,000"):
        make_recommender("ease").fit(scipy.sparse.csr_matrix(([1.0], ([0], [1])), (2, 9000)))
    with pytest.raises(ConfigError, match=r"has no option 'l3'"):
        make_recommender({"name": "ease", "l3": 1.0})
    with pytest.raises(ConfigError, match=r"a mix can't be a part of a mix"):
        make_recommender({"name": "mix", "parts": ["mix"]})
