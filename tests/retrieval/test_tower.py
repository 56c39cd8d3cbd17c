"""Scores are the same for targets one by one and in blocks, and those of their definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnscale.arrays import Ragged
from gnnscale.retrieval.ranking.tower import TargetVectors

METRICS = {"inner_product": lambda q, v: float(q @ v), "l2": lambda q, v: -float(((q - v) ** 2).sum())}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@settings(deadline=None)
@given(seed=st.integers(0, 10**6), queries=st.integers(0, 4), targets=st.integers(1, 9), channels=st.integers(1, 20))
def test_scores_are_those_of_the_metric(metric, dtype, seed, queries, targets, channels):
    rng = np.random.default_rng(seed)
    asked = rng.integers(-9, 10, (queries, channels)).astype(np.float32)
    values = rng.integers(-9, 10, (targets, channels)).astype(dtype)
    vectors = TargetVectors(values, metric)
    expected = [[METRICS[metric](q, v.astype(np.float32)) for v in values] for q in asked]
    every = vectors.score_block(asked, slice(0, targets))
    np.testing.assert_allclose(every, np.reshape(expected, every.shape), rtol=1e-5, atol=1e-5)
    some = rng.permutation(targets)[: targets // 2 + 1]
    found = vectors.score_block(asked, some)
    wanted = np.reshape([[row[t] for t in some] for row in expected], found.shape)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    listed = Ragged.from_lists([np.flatnonzero(rng.random(targets) < 0.5) for _ in range(queries)])
    pairs = zip(listed.row_of_value, listed.values, strict=True)
    assert vectors.score_listed(asked, listed).tolist() == [expected[q][t] for q, t in pairs]


def test_distances_between_long_vectors_that_lie_close_do_not_cancel():
    rng = np.random.default_rng(0)
    vectors = (1000 + 0.1 * rng.normal(size=(50, 8))).astype(np.float32)
    found = TargetVectors(vectors, "l2").score_block(vectors[:5], slice(0, 50))
    wide = vectors.astype(float)
    expected = -((wide[:5, None] - wide[None]) ** 2).sum(2)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
    assert (found <= 0).all()
