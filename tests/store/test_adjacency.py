"""Sorted edges stream into CSR as they are; what is not sorted is refused."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gnnscale.schema import DataError
from gnnscale.store.adjacency import ALWAYS, Adjacency, relative_times, write_adjacency

ORIGIN = 1_000


def batches(rows: list[tuple], size: int):
    """Batches of (source, target, time) rows."""
    for start in range(0, len(rows), size):
        source, target, time = zip(*rows[start : start + size], strict=True)
        yield pa.RecordBatch.from_pydict(
            {
                "source": pa.array(source, pa.int64()),
                "target": pa.array(target, pa.int64()),
                "time": pa.array(time, pa.int64()),
            }
        )


def build(folder: Path, rows: list[tuple], size: int = 3, nodes: int = 5, edges: int | None = None) -> Adjacency:
    write_adjacency(folder, batches(rows, size), nodes, len(rows) if edges is None else edges, ORIGIN, "edges_t")
    return Adjacency.open(folder)


ROWS = [(0, 7, None), (0, 5, 1_000), (0, 6, 1_004), (2, 1, 1_002), (2, 1, 1_002), (4, 0, 990)]

edge = st.tuples(st.integers(0, 4), st.integers(0, 9), st.none() | st.integers(-50, 50).map(lambda t: t + ORIGIN))


def in_order(row: tuple) -> tuple:
    return row[0], row[2] is not None, row[2] or 0


@given(rows=st.lists(edge, min_size=1, max_size=30), size=st.integers(1, 7))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_arrays_hold_every_edge_in_order(tmp_path, rows, size):
    rows = sorted(rows, key=in_order)
    adjacency = build(tmp_path, rows, size)
    assert adjacency.indptr.dtype == np.int64 and adjacency.indptr[0] == 0
    assert adjacency.neighbors.dtype == adjacency.times.dtype == np.int32
    for node in range(5):
        part = slice(adjacency.indptr[node], adjacency.indptr[node + 1])
        own = [row for row in rows if row[0] == node]
        assert adjacency.degrees[node] == len(own)
        assert adjacency.neighbors[part].tolist() == [row[1] for row in own]
        assert adjacency.times[part].tolist() == [ALWAYS if row[2] is None else row[2] - ORIGIN for row in own]


@pytest.mark.parametrize("size", [1, 2, 6])
def test_edges_that_are_not_in_order_are_refused(tmp_path, size):
    for wrong in (ROWS[::-1], [ROWS[1], ROWS[0], *ROWS[2:]], [*ROWS[:3], ROWS[5], *ROWS[3:5]]):
        with pytest.raises(DataError, match="edges_t is not sorted by source and time"):
            build(tmp_path, wrong, size)


@pytest.mark.parametrize("edges", [5, 7])
def test_a_number_of_edges_that_is_not_as_promised_is_refused(tmp_path, edges):
    with pytest.raises(DataError, match=f"edges_t has not the {edges} rows"):
        build(tmp_path, ROWS, edges=edges)


def test_times_count_from_the_origin_and_null_is_before_every_anchor():
    found = relative_times(pa.array([1_000, None, 990, 2_000], pa.int64()), ORIGIN)
    assert found.tolist() == [0, ALWAYS, -10, 1_000] and found.dtype == np.int32
    assert ALWAYS < -(2**31) + 1


@pytest.mark.parametrize("time", [ORIGIN + 2**31, ORIGIN - 2**31, ORIGIN + 2**31 - 1])
def test_times_past_what_32_bits_hold_are_refused(time):
    with pytest.raises(DataError, match="more than 68 years"):
        relative_times(pa.array([time], pa.int64()), ORIGIN)
