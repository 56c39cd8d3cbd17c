"""A query is told in plain words: what, for whom, when it is asked, and why nothing leaks."""

from datetime import UTC, datetime, timedelta

import pytest

from gnnscale.query import LeftOut, PredictiveQuery
from gnnscale.query.anchors import plan_anchors
from gnnscale.query.explanation import explain
from tests.query_labels.declared import declared_graph

USERS = "FOR EACH users.user_id"
DAY = 86_400
START = 1_704_067_200
TIMES = (START, START + 60 * DAY)


def explained(text: str, with_plan: bool = False) -> dict[str, str]:
    """Name of each line -> its text."""
    query = PredictiveQuery(declared_graph(), text)
    plan = plan_anchors(query.horizon, TIMES) if with_plan else None
    lines = explain(query, plan).splitlines()
    assert all(line[11] == " " for line in lines)
    found = {line[:11].strip(): line[12:] for line in lines}
    assert len(found) == len(lines)
    return found


TARGETS = {
    "COUNT(orders.*, 0, 7) > 0": "whether the number of orders rows in the 7 days after the anchor > 0",
    "SUM(orders.amount, 3, 9, weeks)": (
        "the sum of orders.amount later than 3 weeks after the anchor and no later than 9 weeks after the anchor"
    ),
    "LAST(items.price WHERE orders.channel = 'web', 0, 1, months)": (
        "the last of items.price where orders.channel = 'web' in the month after the anchor"
    ),
    "AVG(orders.amount, 0, 7) FORECAST 4 TIMEFRAMES": (
        "the mean of orders.amount in the 7 days after the anchor, and in the 3 windows of 7 days after"
    ),
    "LIST_DISTINCT(orders.item_id WHERE orders.gift, 0, 7) RANK TOP 5": (
        "the 5 rows of items most likely to be named by orders where orders.gift = True in the 7 days after the anchor"
    ),
    "FIRST(orders.item_id, 0, 7) RANK TOP 5": (
        "the 5 rows of items most likely to be named first by orders in the 7 days after the anchor"
    ),
    "LIST_DISTINCT(reviews.item_id) RANK TOP 2": "the 2 rows of items most likely to be named by reviews",
    "users.age": "users.age",
    "NOT (users.age IS NULL OR users.country NOT IN ('DE', 'FR'))": (
        "whether not (users.age is missing or users.country not IN ('DE', 'FR'))"
    ),
    "users.age IS NOT NULL AND (users.age > 3 OR users.age = 1)": (
        "whether users.age is known and (users.age > 3 or users.age = 1)"
    ),
}


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_is_told(target):
    assert explained(f"PREDICT {target} {USERS}")["predicts"] == TARGETS[target]


def test_task_and_population_are_told():
    found = explained(
        f"PREDICT COUNT(orders.*, 0, 7) {USERS} WHERE COUNT(orders.*, -INF, 0) > 2 AND users.joined < '2024-01-31' "
        "AND EXISTS(visits.*, -30, -2) AND SUM(orders.amount, -INF, -1, weeks) > 0"
    )
    assert found["task"] == "regression"
    assert found["for"] == (
        "each row of users that is there at the anchor, where the number of orders rows up to the anchor > 2 and "
        "users.joined < 2024-01-31 00:00:00 and the number of visits rows later than 30 days before the anchor and no "
        "later than 2 days before the anchor > 0 and the sum of orders.amount up to 1 week before the anchor > 0"
    )
    # Rows that never come or go are there at any anchor.
    assert explained("PREDICT COUNT(orders.*, 0, 7) FOR EACH items.item_id")["for"] == "each row of items"


def test_keys_are_told_and_long_lists_cut():
    keys = ", ".join(f"'u0{i}'" for i in range(7))
    shown = explained(f"PREDICT users.age FOR users.user_id IN ({keys})")["for"]
    assert shown.endswith("; predictions for user_id u00, u01, u02, u03, u04, ... alone")
    words = ", ".join(f"'{letter}'" for letter in "abcdefg")
    assert explained(f"PREDICT users.country IN ({words}) {USERS}")["predicts"].endswith(
        "('a', 'b', 'c', 'd', 'e', ...)"
    )


def test_assumptions_and_what_is_hidden_are_told_where_there_are_any():
    plain = explained(f"PREDICT COUNT(orders.*, 0, 7) {USERS}")
    assert set(plain) == {"task", "predicts", "for"}
    assumed = explained(f"PREDICT COUNT(orders.*, 0, 7) {USERS} ASSUMING COUNT(visits.*, 0, 7) >= 1")
    assert assumed["assuming"].startswith(
        "the number of visits rows in the 7 days after the anchor >= 1; other examples"
    )
    assert explained(f"PREDICT users.age > 3 {USERS}")["not seen"] == "users.age: the target is made of it"
    assert explained(f"PREDICT COUNT(reviews.*) {USERS}")["not seen"] == "reviews: the target is made of it"


def test_anchors_and_why_nothing_leaks_are_told():
    found = explained(f"PREDICT COUNT(orders.*, 1, 7) {USERS}", with_plan=True)
    assert found["training"] == "6 anchors, 2024-01-05 00:00:00 to 2024-02-09 00:00:00, 7 days apart"
    assert found["validation"] == ("anchor 2024-02-16 00:00:00, labels from (2024-02-17 00:00:00, 2024-02-23 00:00:00]")
    assert found["test"] == "anchor 2024-02-23 00:00:00, labels from (2024-02-24 00:00:00, 2024-03-01 00:00:00]"
    assert found["predictions"] == "at 2024-03-01 00:00:00"
    assert "training labels end at 2024-02-16 00:00:00" in found["leakage"]
    assert "validation labels at 2024-02-23 00:00:00" in found["leakage"]


def test_a_test_window_past_the_data_is_told():
    query = PredictiveQuery(declared_graph(), f"PREDICT COUNT(orders.*, 0, 7) {USERS}")
    end = datetime.fromtimestamp(TIMES[1], UTC)
    plan = plan_anchors(query.horizon, TIMES, test=end - timedelta(days=3))
    assert plan.cut_short == (TIMES[1] + 4 * DAY, TIMES[1])
    assert "; the data end at 2024-03-01 00:00:00, so that these labels lack what is missing" in explain(query, plan)
    # The last day need not be full.
    whole = plan_anchors(query.horizon, (TIMES[0], TIMES[1] - 3_600), test=end - timedelta(days=7))
    assert whole.cut_short is None and "the data end" not in explain(query, whole)


def test_what_is_not_known_is_told_with_its_number():
    query = PredictiveQuery(declared_graph(), f"PREDICT users.country {USERS}")
    assert "no label    where users.country is missing: such rows are predicted, not learned from" in explain(query)
    some = explain(query, left_out=LeftOut(("users.country",), 48, 9))
    assert "no label    9 of 48 make no example: users.country is missing; they are predicted" in some
    assert "none: users.country is known of all 48" in explain(query, left_out=LeftOut(("users.country",), 48))


def test_a_single_training_anchor_has_no_step():
    query = PredictiveQuery(declared_graph(), f"PREDICT COUNT(orders.*, 0, 7) {USERS}")
    text = explain(query, plan_anchors(query.horizon, TIMES, train=1))
    assert "1 anchors" in text and "apart" not in text


def test_a_query_without_windows_is_split_by_entity_and_by_time_where_there_is_one():
    found = explained("PREDICT items.category FOR EACH items.item_id", with_plan=True)
    assert "80 % train, 10 % validation, 10 % test" in found["split"] and "by entity" in found["split"]
    assert found["predictions"] == "at 2024-03-01 00:00:00"
    assert not {"training", "validation", "test", "leakage"} & set(found)
    query = PredictiveQuery(declared_graph(), f"PREDICT users.country {USERS}")
    told = explain(query, plan_anchors(query.horizon, TIMES, own_times=query.asks_at_own_time))
    assert "each row of users at its own time (joined)" in told and "by time: the oldest 80 % train" in told
    cut = datetime(2024, 2, 1, tzinfo=UTC)
    told = explain(query, plan_anchors(query.horizon, TIMES, test=cut, own_times=True))
    assert "by time: validation by shares of the rest, test from 2024-02-01 00:00:00" in told


def test_a_query_explains_itself():
    query = PredictiveQuery(declared_graph(), f"PREDICT COUNT(orders.*, 0, 7) {USERS}")
    assert query.explain() == explain(query)
