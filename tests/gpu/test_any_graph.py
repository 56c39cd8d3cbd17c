"""Whatever the graph, the frontier and the rule, the kernel gives what the reference gives."""

import pytest

pytest.importorskip("hypothesis", reason="needs hypothesis (pip install gnnscale[dev])")

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gpu.test_neighbors import check
from tests.sampling.graphs import keys_for, maybe_weighted, rules


@given(maybe_weighted(), rules, st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_kernel_equals_the_reference(device, adjacency, rule, data):
    nodes = len(adjacency.degrees)
    batch, width = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    flat = data.draw(st.lists(st.integers(-1, nodes - 1), min_size=batch * width, max_size=batch * width))
    frontier = np.array(flat, np.int32).reshape(batch, width)
    anchors = np.array(data.draw(st.lists(st.integers(-10, 25), min_size=batch, max_size=batch)), np.int32)
    fanout = data.draw(st.integers(1, 9))
    keys = keys_for(batch, data.draw(st.integers(0, 2**64 - 1)))
    check(adjacency, device, frontier, anchors, keys, fanout, rule)
