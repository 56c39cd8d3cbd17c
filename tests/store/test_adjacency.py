"""Times count from the graph's origin, in 32 bits."""

import numpy as np
import pyarrow as pa
import pytest

from gnnscale.schema import DataError
from gnnscale.store.adjacency import ALWAYS, relative_times

ORIGIN = 1_000


def test_times_count_from_the_origin_and_null_is_before_every_anchor():
    found = relative_times(pa.array([1_000, None, 990, 2_000], pa.int64()), ORIGIN)
    assert found.tolist() == [0, ALWAYS, -10, 1_000] and found.dtype == np.int32
    assert ALWAYS < -(2**31) + 1


@pytest.mark.parametrize("time", [ORIGIN + 2**31, ORIGIN - 2**31, ORIGIN + 2**31 - 1])
def test_times_past_what_32_bits_hold_are_refused(time):
    with pytest.raises(DataError, match="more than 68 years"):
        relative_times(pa.array([time], pa.int64()), ORIGIN)
