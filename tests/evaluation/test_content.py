"""Content alone: targets ranked by their columns, worked by hand."""

import numpy as np
import pytest

from gnnscale.arrays import Ragged
from gnnscale.evaluation.baselines.baseline import find_baselines
from gnnscale.evaluation.baselines.content import content_vectors
from gnnscale.query import TEMPORAL_LINK_PREDICTION
from gnnscale.retrieval import Catalog, History
from gnnscale.schema import BASELINES
from gnnscale.store import NodeFeatures
from tests.evaluation.test_item_baselines import SETTINGS

ITEMS = NodeFeatures(
    np.array([[1], [1.5], [-1], [-1.2], [0.9], [0]], np.float32),
    np.array([[1], [1], [2], [2], [2], [0]], np.int32),
    np.zeros(6, np.int32),
    multicategorical=(Ragged.from_lists([[1], [1], [2, 3], [], [], []]),),
    embedded=(np.eye(6, 2, dtype=np.float16),),
)
THERE = np.array([True, True, True, True, True, False])


def by_hand() -> np.ndarray:
    """Cosines of every two of the items."""
    tags = np.zeros((6, 4))
    tags[:2, 1], tags[2, 2:] = 1, 1 / np.sqrt(2)
    parts = [ITEMS.numerical, np.eye(3)[ITEMS.categorical[:, 0]] * (ITEMS.categorical > 0), tags, np.eye(6, 2)]
    vectors = np.concatenate(parts, axis=1)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)


def test_columns_as_vectors():
    found = content_vectors(ITEMS)
    wanted = by_hand()
    np.testing.assert_allclose((found @ found.T).toarray(), wanted @ wanted.T, atol=1e-6)


@pytest.mark.parametrize("name", ["content", "nearest_content"])
def test_what_is_like_what_was_had_comes_first(name):
    entity, item = np.array([0, 0, 0, 2]), np.array([0, 0, 3, 2])
    history = History(entity, item, np.zeros(4, np.int64), 3, 6, Catalog(ITEMS, ITEMS, THERE))
    baseline, vectors = BASELINES.find(name), by_hand()
    entities = np.array([2, 0, 1])
    ranked, scores = baseline.scored_lists(SETTINGS, history, entities, 8)
    for row, own in ((0, [2]), (1, [0, 0, 3])):
        if name == "content":
            mean = vectors[own].mean(axis=0)
            close = vectors @ (mean / np.linalg.norm(mean))
        else:
            close = (vectors @ vectors[own].T).max(axis=1)
        wanted = sorted(range(5), key=lambda i: -close[i])
        # Rounding may swap those that were had themselves.
        assert sorted(ranked[row, :2]) == sorted(wanted[:2]) and ranked[row, 2:].tolist() == [*wanted[2:], -1, -1, -1]
        np.testing.assert_allclose(scores[row, :5], close[wanted], atol=1e-5)
    # Who has had nothing gets what is popular.
    assert ranked[2].tolist() == [0, 2, 3, -1, -1, -1, -1, -1]
    lists = baseline.lists(SETTINGS, history, entities, 8)
    assert set(lists["repeat"][1]) == {0, 3, -1} and not {0, 3} & set(lists["explore"][1])


def test_they_stand_beside_a_model_that_asks_for_them():
    assert not {"content", "matrix_factorization"} & {b.name for b in find_baselines(TEMPORAL_LINK_PREDICTION)}
