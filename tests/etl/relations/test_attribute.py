"""Nodes with the same value are joined: all of them, or in a ring that is symmetric and bounded."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnscale.etl.relations import shared_attributes as attribute
from gnnscale.etl.relations.shared_attributes import attribute_edges, count_large_values, ring_edges
from gnnscale.schema import AttributeRelation
from tests.etl.relations.event_table import edges_of, frame


def brands(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = np.repeat(["a", "b", "c", "d", None], [1, 2, 7, 12, 3])
    return pd.DataFrame({"node_id": rng.permutation(len(values)), "raw_brand": values})


def by_hand(rows, relation):
    edges = []
    for _, same in rows.dropna().groupby("raw_brand"):
        nodes, size = sorted(same["node_id"]), len(same)
        if relation.max_group is not None and size > relation.max_group:
            continue
        reach = size if relation.max_neighbors is None else relation.max_neighbors // 2
        for i, source in enumerate(nodes):
            apart = [min((i - j) % size, (j - i) % size) for j in range(size)]
            edges += [(source, nodes[j], None) for j in range(size) if 0 < apart[j] <= reach]
    return sorted(edges, key=repr)


@pytest.mark.parametrize(("most", "neighbors"), [(7, None), (None, 6), (10, 4), (1000, 12)])
def test_edges_equal_a_double_loop_and_are_symmetric(spark, most, neighbors):
    relation = AttributeRelation("like", "items", "brand", most, neighbors)
    rows = brands(most or 0)
    edges = edges_of(attribute_edges(frame(spark, rows, 3), "raw_brand", relation))
    assert edges == by_hand(rows, relation)
    assert {(b, a) for a, b, _ in edges} == {(a, b) for a, b, _ in edges}


def test_values_that_are_too_large_are_counted_and_told(spark, caplog):
    rows = frame(spark, brands(1))
    assert count_large_values(rows, "raw_brand", AttributeRelation("like", "items", "brand", 6)) == 2
    assert "relation like: no edges from values: 2 of more than 6 rows (the largest has 12)" in caplog.text
    assert count_large_values(rows, "raw_brand", AttributeRelation("like", "items", "brand", None, 2)) == 0


@settings(max_examples=80, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), max_size=5),
    dropped=st.integers(0, 4),
    half=st.none() | st.integers(1, 4),
    batch=st.sampled_from([1, 3, 10, 1000]),
)
def test_a_ring_is_the_same_however_it_is_cut(sizes, dropped, half, batch):
    opens = np.cumsum([0, *sizes])[:-1]
    nodes = np.arange(sum(sizes)) * 10
    kept = np.arange(len(sizes)) != dropped
    most = None if half is None else 2 * half
    before = attribute.BATCH
    attribute.BATCH = batch
    try:
        parts = list(ring_edges(nodes, opens[kept], np.array(sizes, np.int64)[kept], most))
    finally:
        attribute.BATCH = before
    found = [(int(a), int(b)) for source, target in parts for a, b in zip(source, target, strict=True)]
    wanted = set()
    for start, size in zip(opens[kept], np.array(sizes)[kept], strict=True):
        degree = size - 1 if most is None else min(size - 1, most)
        for i in range(size):
            mine = [b for a, b in found if a == nodes[start + i]]
            assert len(mine) == len(set(mine)) == degree and nodes[start + i] not in mine
            wanted |= {(int(nodes[start + i]), int(nodes[start + j])) for j in range(size)}
    assert set(found) <= wanted and len(found) == len(set(found))
    assert {(b, a) for a, b in found} == set(found)
