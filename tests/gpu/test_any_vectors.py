"""Whatever the vectors, the kernels rank them as brute force does."""

import pytest

pytest.importorskip("hypothesis", reason="needs hypothesis (pip install gnnscale[dev])")

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnscale.retrieval.index.metric import Metric
from tests.gpu.exact_cases import assert_exact, exact_scores, whole_numbers
from tests.gpu.test_exact_search import built


@settings(deadline=None, max_examples=12)
@given(
    seed=st.integers(0, 2**31),
    targets=st.integers(1, 400),
    channels=st.integers(1, 40),
    k=st.integers(1, 30),
    metric=st.sampled_from([Metric.INNER_PRODUCT, Metric.L2]),
    most=st.integers(1, 100),
)
def test_ties_go_to_the_smaller_id(device, seed, targets, channels, k, metric, most):
    rng = np.random.default_rng(seed)
    vectors, queries = whole_numbers(rng, targets, channels, most), whole_numbers(rng, 5, channels, most)
    found = built(vectors, device, metric).search(queries, k)
    assert_exact(found, exact_scores(vectors, queries, metric), k)
