"""Edges of events equal pandas, and no edge is visible before all that it sums has happened."""

import math

import pytest

from gnnscale.etl.relations.weighted_events import count_unweighted, event_edges
from gnnscale.schema import EventRelation
from tests.etl.relations.event_table import DAY, ORIGIN, edges_of, expected, frame, random_events

WEIGHTS = {"view": 0.1, "buy": 10.0, "cart": 0.3, "never": 2.0}
CASES = [
    {},
    {"period_days": 2},
    {"aggregate": "none"},
    {"weight_by": "what", "weights": {**WEIGHTS, "view": 0}, "default_weight": 0.7, "period_days": 3},
    {"weight_by": "what", "weights": WEIGHTS, "aggregate": "none"},
    {"weight": "price", "period_days": 1},
    {"weight": "price", "aggregate": "none"},
]


def weighed(rows, relation):
    """Rows that make an edge, with what each weighs."""
    rows = rows.dropna(subset=["fk_user", "fk_item"])
    if relation.weight:
        weight = rows["raw_price"].astype("float32").astype(float)
    elif relation.weight_by:
        weight = rows["raw_what"].map(lambda what: relation.weights.get(what, relation.default_weight))
    else:
        return rows.assign(weight=1.0)
    return rows.assign(weight=weight)[(weight > 0) & (weight < math.inf)]


def by_hand(rows, relation):
    rows = weighed(rows, relation).rename(columns={"fk_user": "source", "fk_item": "target"})
    if relation.aggregate == "none":
        weighted = ["weight"] if relation.weight or relation.weight_by else []
        return expected(rows, "source", "target", "time", *weighted)
    length = relation.period_days
    rows["period"] = (rows["time"] - ORIGIN) // (length * DAY) if length else 0
    sums = rows.groupby(["source", "target", "period"], as_index=False).agg(
        time=("time", "max"), weight=("weight", math.fsum)
    )
    return expected(sums, "source", "target", "time", "weight")


@pytest.mark.parametrize(("seed", "options"), list(enumerate(CASES)))
def test_edges_equal_pandas(spark, seed, options):
    relation = EventRelation("does", "events", "user", "item", **options)
    rows = random_events(seed)
    found = edges_of(event_edges(frame(spark, rows), relation, ORIGIN))
    wanted = by_hand(rows, relation)
    assert len(found) == len(wanted) > 10
    for edge, known in zip(found, wanted, strict=True):
        assert edge[:3] == known[:3]
        assert edge[3:] == pytest.approx(known[3:], rel=1e-6)


def test_what_weighs_nothing_is_counted_and_told(spark, caplog):
    rows = random_events(3)
    keyed = rows.dropna(subset=["fk_user", "fk_item"])
    for options in ({"weight": "price"}, {"weight_by": "what", "weights": WEIGHTS}):
        relation = EventRelation("does", "events", "user", "item", **options)
        missing = len(keyed) - len(weighed(rows, relation))
        assert count_unweighted(frame(spark, rows), relation) == missing > 0
        assert f"relation does: {missing} of {len(keyed)} events weigh nothing" in caplog.text
    assert "no row has what 'never'" in caplog.text
    assert count_unweighted(frame(spark, rows), EventRelation("does", "events", "user", "item")) == 0


@pytest.mark.parametrize("options", [{"weight": "price"}, {"weight_by": "what", "weights": WEIGHTS}])
def test_sums_are_the_same_to_the_last_bit_however_rows_are_cut(spark, options):
    relation = EventRelation("does", "events", "user", "item", **options)
    rows = random_events(5, rows=300, users=2, items=2)
    one, other = (
        edges_of(event_edges(frame(spark, part, partitions), relation, ORIGIN))
        for part, partitions in ((rows, 1), (rows.sample(frac=1, random_state=1), 5))
    )
    assert one == other


@pytest.mark.parametrize("options", [{}, {"weight": "price", "period_days": 2}])
def test_an_edge_that_is_visible_sums_nothing_that_is_still_to_come(spark, options):
    relation = EventRelation("does", "events", "user", "item", **options)
    rows = random_events(6, rows=60)
    edges = edges_of(event_edges(frame(spark, rows), relation, ORIGIN))
    anchor = int(rows["time"].quantile(0.7))
    known = edges_of(event_edges(frame(spark, rows[rows["time"] <= anchor]), relation, ORIGIN))
    visible = [edge for edge in edges if edge[2] <= anchor]
    assert visible and set(visible) <= set(known)


def test_events_without_times_make_edges_that_always_hold(spark):
    rows = random_events(7).assign(time=None).astype({"time": "Int64"})
    edges = edges_of(event_edges(frame(spark, rows), EventRelation("does", "events", "user", "item"), ORIGIN))
    assert edges and all(edge[2] is None for edge in edges)
