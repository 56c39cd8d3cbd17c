"""How many examples an anchor has is told from the sizes of the tables, and few of them give more anchors."""

from __future__ import annotations

import pytest

from gnnscale.config import Settings, build_settings, plan_query_anchors
from gnnscale.query import DAY, PredictiveQuery, explain, shift
from tests.query_labels.declared import declared_graph

START = 1_704_067_200
DAYS = 700
ROWS = {"users": 1_000, "items": 300, "orders": 7_000, "visits": 100}
RANGES: dict[str, tuple[int, int] | None] = dict.fromkeys(ROWS, (START, START + DAYS * DAY)) | {"items": None}


def settings_of(**anchors: object) -> Settings:
    """A configuration that says nothing but some anchors."""
    query = {"name": "asked", "text": "PREDICT users.age FOR EACH users.user_id"}
    return build_settings({"recipe": "r", "lake": {"uri": "lake"}, "tables": {}, "query": query, "anchors": anchors})


def plan(target: str, rows: dict[str, int] | None = None, **anchors: object):
    query = PredictiveQuery(declared_graph(), f"PREDICT {target}")
    return plan_query_anchors(settings_of(**anchors), query, RANGES, ROWS if rows is None else rows)


EACH = "FOR EACH users.user_id"
CASES = {
    f"COUNT(orders.*, 0, 7) {EACH}": 1_000.0,
    # 70 events a week are of some 68 users.
    f"AVG(orders.amount, 0, 7) {EACH}": 67.6,
    f"COUNT(orders.*, 0, 7) {EACH} WHERE COUNT(orders.*, -14, 0) > 0": 130.6,
    f"COUNT(orders.*, 0, 7) {EACH} WHERE COUNT(orders.*, -INF, 0) > 0": 1_000.0,
}


@pytest.mark.parametrize("target", CASES)
def test_entities_count_that_have_an_event_where_one_is_needed(target):
    assert plan(target).rows == pytest.approx(CASES[target], rel=0.01)


def test_without_sizes_nothing_is_expected_and_one_anchor_validates():
    query = PredictiveQuery(declared_graph(), f"PREDICT AVG(orders.amount, 0, 7) {EACH}")
    found = plan_query_anchors(settings_of(), query, RANGES)
    assert found.rows is None and len(found.validations) == 1 and len(found.train) == 26


def test_few_examples_give_more_anchors_and_the_plan_says_so():
    target = f"AVG(orders.amount, 0, 7) {EACH}"
    found = plan(target)
    assert len(found.validations) == 8 and len(found.train) > 80
    told = explain(PredictiveQuery(declared_graph(), f"PREDICT {target}"), found)
    assert "some 68 examples each" in told and "validation  8 anchors, " in told
    assert "validation  anchor " in explain(
        PredictiveQuery(declared_graph(), f"PREDICT {target}"), plan(target, validation_count=1)
    )
    assert len(plan(target, train=5, test_count=3).train) == 5


def test_the_past_of_the_predictions_is_asked_where_its_window_ends_there():
    found = plan(f"COUNT(orders.*, 0, 7) {EACH}")
    assert found.past == shift(found.latest, -7, "days") and found.past not in found.train
    mixed = plan(f"COUNT(orders.*, 0, 7) > 1 AND COUNT(visits.*, 0, 14) > 1 {EACH}")
    assert mixed.past is None, "two windows end at two times"


def test_what_comes_after_an_anchor_is_said_to_be_no_example():
    target = "COUNT(orders.*, 0, 7) FOR EACH users.user_id"
    query = PredictiveQuery(declared_graph(), f"PREDICT {target}")
    assert query.entity.time_column
    assert "some 1,000 examples each" in explain(query, plan(target))
    assert "less the users that come after an anchor" in explain(query, plan(target))
