"""Lists of codes come back row by row, whatever the order they were written in."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gnnscale.arrays.code_lists import CodeLists, CodeListWriter

rows = st.lists(st.lists(st.integers(1, 9), max_size=4), min_size=1, max_size=12)


def written(folder, lists, order, size) -> CodeLists:
    writer = CodeListWriter(folder, "x", len(lists))
    for start in range(0, len(order), size):
        part = np.array(order[start : start + size])
        writer.add(part, pa.array([lists[i] for i in part], pa.list_(pa.int32())))
    writer.close()
    return CodeLists.open(folder, "x")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows, st.randoms(use_true_random=False), st.integers(1, 5))
def test_lists_are_those_of_their_rows(tmp_path, lists, random, size):
    order = list(range(len(lists)))
    random.shuffle(order)
    found = written(tmp_path, lists, order, size)
    assert [found.codes[a:b].tolist() for a, b in zip(found.offsets, found.offsets[1:], strict=False)] == lists
    taken = found.take(np.array([*order, 0]))
    assert taken.offsets[0] == 0 and taken.offsets.dtype == np.int64 and taken.codes.dtype == np.int32
    cut = [taken.codes[a:b].tolist() for a, b in zip(taken.offsets, taken.offsets[1:], strict=False)]
    assert cut == [lists[i] for i in [*order, 0]]


@pytest.mark.parametrize("lists", [[[]], [[], []], [[1, 2], [3]]])
def test_arrays_are_mapped_and_nothing_else_is_left(tmp_path, lists):
    found = written(tmp_path, lists, list(range(len(lists))), 2)
    assert isinstance(found.offsets, np.memmap)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x_codes.npy", "x_offsets.npy"]
    assert found.take(np.zeros(0, np.int64)).offsets.tolist() == [0]
