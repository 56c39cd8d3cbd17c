"""Lists of codes come back row by row, whatever the order they were written in."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gnnscale.arrays import Ragged
from gnnscale.arrays.code_lists import CodeListWriter, open_code_lists

rows = st.lists(st.lists(st.integers(1, 9), max_size=4), min_size=1, max_size=12)


def written(folder, lists, order, size) -> Ragged:
    writer = CodeListWriter(folder, "x", len(lists))
    for start in range(0, len(order), size):
        part = np.array(order[start : start + size])
        writer.add(part, pa.array([lists[i] for i in part], pa.list_(pa.int32())))
    writer.close()
    return open_code_lists(folder, "x")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows, st.randoms(use_true_random=False), st.integers(1, 5))
def test_lists_are_those_of_their_rows(tmp_path, lists, random, size):
    order = list(range(len(lists)))
    random.shuffle(order)
    found = written(tmp_path, lists, order, size)
    assert [found.values[a:b].tolist() for a, b in zip(found.indptr, found.indptr[1:], strict=False)] == lists
    taken = found.take(np.array([*order, 0]))
    assert taken.indptr[0] == 0 and taken.indptr.dtype == np.int64 and taken.values.dtype == np.int32
    cut = [taken.values[a:b].tolist() for a, b in zip(taken.indptr, taken.indptr[1:], strict=False)]
    assert cut == [lists[i] for i in [*order, 0]]


@pytest.mark.parametrize("lists", [[[]], [[], []], [[1, 2], [3]]])
def test_arrays_are_mapped_and_nothing_else_is_left(tmp_path, lists):
    found = written(tmp_path, lists, list(range(len(lists))), 2)
    assert isinstance(found.indptr, np.memmap)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x_codes.npy", "x_offsets.npy"]
    assert found.take(np.zeros(0, np.int64)).indptr.tolist() == [0]
