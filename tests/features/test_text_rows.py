"""The nearest texts are those of a sort of all cosines."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnscale.features import text_rows
from gnnscale.features.text_rows import nearest_texts


@given(seed=st.integers(0, 99), k=st.integers(1, 12), block=st.sampled_from([1, 30, 10_000]))
def test_nearest_texts_equal_a_sort_of_all(seed, k, block):
    rng = np.random.default_rng(seed)
    # Few values, so that cosines tie.
    vectors = rng.integers(-1, 2, (10, 3)).astype(np.float32)
    there, rows = rng.random(10) < 0.7, rng.permutation(10)[:6]
    before, text_rows.BLOCK_SCORES = text_rows.BLOCK_SCORES, block
    try:
        nodes, cosines = nearest_texts(vectors, rows, k, there)
    finally:
        text_rows.BLOCK_SCORES = before
    for row, found, close in zip(rows, nodes, cosines, strict=True):
        wanted = sorted((-float(vectors[row] @ vectors[i]), i) for i in np.flatnonzero(there) if i != row)[:k]
        assert found[: len(wanted)].tolist() == [i for _, i in wanted]
        assert close[: len(wanted)].tolist() == pytest.approx([-c for c, _ in wanted])
        assert (found[len(wanted) :] == -1).all() and np.isneginf(close[len(wanted) :]).all()
