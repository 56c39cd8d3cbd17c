"""Co-occurrences equal those of a join of the rows with themselves."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnscale.etl.relations.co_occurrence import count_cut_groups, together_edges
from gnnscale.etl.relations.pairs import GroupRows, count_pairs
from gnnscale.schema import TogetherRelation
from tests.etl.relations.event_table import DAY, ORIGIN, edges_of, expected, frame, random_events

CASES = [
    {},
    {"within_days": 0.5, "min_count": 2},
    {"period_days": 3, "min_count": 3},
    {"max_neighbors": 1, "period_days": 2, "within_days": 1},
    {"max_group": 7},
    {"max_group": 5, "within_days": 3, "max_neighbors": 2, "min_count": 2, "period_days": 4},
]
GROUPS = ("fk_user", "raw_basket")


def by_hand(rows, group, relation):
    rows = rows.dropna(subset=[group, "fk_item"]).sort_values(["time", "node_id"])
    rows = rows.groupby(group).tail(relation.max_group)
    rows["place"] = np.arange(len(rows))
    both = rows.merge(rows, on=group, suffixes=("_early", ""))
    both = both[(both["place_early"] < both["place"]) & (both["fk_item_early"] != both["fk_item"])]
    if relation.within_days:
        both = both[both["time"] - both["time_early"] <= relation.within_days * DAY]
    length = relation.period_days
    both["period"] = (both["time"] - ORIGIN) // (length * DAY) if length else 0
    ends = np.sort(both[["fk_item_early", "fk_item"]].to_numpy(int), axis=1)
    both = both.assign(low=ends[:, 0], high=ends[:, 1])
    edges = []
    for (low, high, period), found in both.groupby(["low", "high", "period"]):
        if len(found) >= relation.min_count:
            values = {"period": period, "time": found["time"].max(), "weight": len(found)}
            edges += [{"source": low, "target": high, **values}, {"source": high, "target": low, **values}]
    if relation.max_neighbors:
        best = sorted(edges, key=lambda e: (-e["weight"], -e["time"], e["target"]))
        count, edges = {}, []
        for edge in best:
            at = (edge["source"], edge["period"])
            count[at] = count.get(at, 0) + 1
            edges += [edge] if count[at] <= relation.max_neighbors else []
    return edges


@pytest.mark.parametrize(("seed", "options"), list(enumerate(CASES)))
def test_edges_equal_a_self_join(spark, seed, options):
    group = GROUPS[seed % 2]
    relation = TogetherRelation("with", "events", group.split("_")[1], "item", **options)
    rows = random_events(seed, rows=90)
    edges = together_edges(frame(spark, rows), group, relation, ORIGIN)
    wanted = expected(pd.DataFrame(by_hand(rows, group, relation)), "source", "target", "time", "weight")
    assert edges_of(edges) == wanted and len(wanted) > 3


def test_neither_order_nor_partitions_nor_how_shuffles_are_cut_count(spark):
    relation = TogetherRelation("with", "events", "user", "item", 2, 1, 3, max_group=9)
    rows = random_events(20, rows=200)
    before = spark.conf.get("spark.sql.shuffle.partitions")
    found = []
    for parts in (1, 5):
        spark.conf.set("spark.sql.shuffle.partitions", parts)
        try:
            mixed = frame(spark, rows.sample(frac=1, random_state=parts), parts)
            found.append(edges_of(together_edges(mixed, "fk_user", relation, ORIGIN)))
        finally:
            spark.conf.set("spark.sql.shuffle.partitions", before)
    assert found[0] == found[1]


def test_both_orders_of_a_pair_are_edges_and_an_edge_knows_nothing_that_is_still_to_come(spark):
    rows = random_events(21)
    relation = TogetherRelation("with", "events", "user", "item", within_days=2, period_days=2, max_neighbors=4)
    free = TogetherRelation("with", "events", "user", "item", within_days=2, period_days=2)
    edges = edges_of(together_edges(frame(spark, rows), "fk_user", free, ORIGIN))
    assert sorted(edges, key=repr) == sorted(((b, a, *rest) for a, b, *rest in edges), key=repr)
    anchor = int(rows["time"].median())
    # A cap lets nothing in that rows before the anchor alone would have kept out.
    visible = [e for e in edges_of(together_edges(frame(spark, rows), "fk_user", relation, ORIGIN)) if e[2] <= anchor]
    known = edges_of(together_edges(frame(spark, rows[rows["time"] <= anchor]), "fk_user", relation, ORIGIN))
    assert visible and set(visible) <= set(known)


def test_groups_that_are_cut_are_counted_and_told(spark, caplog):
    rows = random_events(22)
    sizes = rows.dropna(subset=["fk_user", "fk_item"])["fk_user"].value_counts()
    most = int(sizes.median())
    relation = TogetherRelation("with", "events", "user", "item", max_group=most)
    assert count_cut_groups(frame(spark, rows), "fk_user", relation) == (sizes > most).sum() > 0
    assert f"of more than {most} rows (the largest has {sizes.max()})" in caplog.text
    wide = TogetherRelation("with", "events", "user", "item")
    assert count_cut_groups(frame(spark, rows), "fk_user", wide) == 0


def test_rows_without_times_occur_together_for_ever(spark):
    rows = random_events(23).assign(time=None).astype({"time": "Int64"})
    relation = TogetherRelation("with", "events", "basket", "item", max_group=10)
    edges = edges_of(together_edges(frame(spark, rows), "raw_basket", relation, ORIGIN))
    assert edges and all(time is None for _, _, time, _ in edges)
    # Without times, the latest rows are those of the largest node id.
    latest = by_hand(rows.assign(time=0), "raw_basket", relation)
    assert {(e[0], e[1], e[3]) for e in edges} == {(e["source"], e["target"], e["weight"]) for e in latest}


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6), st.integers(0, 4)), max_size=40),
    within=st.none() | st.integers(0, 4),
    most=st.integers(2, 12),
)
def test_pairs_of_a_table_that_fills_up_add_up_to_those_of_a_double_loop(rows, within, most):
    groups, times, items = np.array(sorted(rows), np.int64).reshape(-1, 3).T
    sorted_rows = GroupRows(groups, items, times, times // 3)
    found = {}
    # A table of a few slots is handed on again and again.
    for part in count_pairs(sorted_rows, within, most, slots=4):
        for a, b, period, count, latest in zip(
            part.first, part.second, part.periods, part.counts, part.latest, strict=True
        ):
            total, last = found.get((a, b, period), (0, -1))
            found[a, b, period] = (total + count, max(last, latest))
    wanted = {}
    for j in range(len(groups)):
        for i in range(j):
            same = groups[i] == groups[j] and items[i] != items[j]
            recent = (groups[i:] == groups[j]).sum() <= most
            if same and recent and (within is None or times[j] - times[i] <= within):
                key = (*sorted((items[i], items[j])), times[j] // 3)
                total, last = wanted.get(key, (0, -1))
                wanted[key] = (total + 1, max(last, times[j]))
    assert found == wanted
