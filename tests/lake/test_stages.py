"""A stage is current while its fingerprint stands and its tables are there."""

import time

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from gnnscale.lake import Lake, fingerprint, is_current, read_stage, write_stage

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.text(max_size=3), values, max_size=4))
def test_a_fingerprint_does_not_follow_the_order_of_keys(inputs):
    assert fingerprint(inputs) == fingerprint(dict(reversed(inputs.items())))


@given(st.dictionaries(st.text(max_size=3), values, max_size=4), st.text(max_size=3), st.integers())
def test_a_fingerprint_changes_with_every_value(inputs, key, value):
    changed = {**inputs, key: [value, inputs.get(key)]}
    assert fingerprint(changed) != fingerprint(inputs)


def test_a_fingerprint_is_the_same_in_every_version():
    assert fingerprint({"b": [1, None], "a": "x"}) == "8ea2c0f31b799f047143f378"


def test_a_stage_is_current_until_its_inputs_change_or_its_tables_go(tmp_path):
    lake = Lake(tmp_path)
    assert read_stage(lake, "graph") is None and not is_current(lake, "graph", "d1", [])
    record = write_stage(lake, "graph", "d1", time.monotonic() - 2, "40 nodes")
    assert read_stage(lake, "graph") == record
    assert record.detail == "40 nodes" and record.seconds >= 2
    assert is_current(lake, "graph", "d1", [])
    assert not is_current(lake, "graph", "d2", [])
    assert not is_current(lake, "labels", "d1", [])
    assert not is_current(lake, "graph", "d1", ["nodes"])
    lake.write("nodes", pa.table({"x": [1]}))
    write_stage(lake, "graph", "d1", time.monotonic(), "1 node", ["nodes"])
    assert is_current(lake, "graph", "d1", ["nodes"])
    # Another run has written over the table.
    lake.write("nodes", pa.table({"x": [2]}))
    assert not is_current(lake, "graph", "d1", ["nodes"])
