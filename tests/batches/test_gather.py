"""Gathered rows are those of the nodes, whatever their type and number, and zeros where there is none."""

import numpy as np
import pytest

from gnnscale.batches.blocks.gather import AHEAD, gather


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int32])
@pytest.mark.parametrize("channels", [0, 1, 5, 64, 130])
@pytest.mark.parametrize("rows", [0, 1, AHEAD, AHEAD + 1, 100])
@pytest.mark.parametrize("threads", [1, 3])
def test_rows_are_those_of_the_nodes(dtype, channels, rows, threads):
    rng = np.random.default_rng(rows)
    features = (rng.standard_normal((40, channels)) * 100).astype(dtype)
    nodes = rng.integers(-1, 40, (rows, 2)).astype(np.int32)
    found = gather(features, nodes, threads)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.where(nodes[..., None] < 0, 0, features[nodes]))
