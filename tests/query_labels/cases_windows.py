"""Windows: their units, their ends, where they start, and anchors of every kind."""

from __future__ import annotations

import pandas as pd

from tests.query_labels.case import BINARY, REGRESSION, Cases, per_user
from tests.query_labels.oracle import alive, each, holds, inside, rows, total

CASES = Cases()


def visits_in(start, end, unit="days"):
    return lambda db, a: per_user(db, a, inside(db.visits, a, start, end, unit), rows)


@CASES.add("PREDICT COUNT(visits.*, 0, 7, days) FOR EACH users.user_id", REGRESSION, past=visits_in(-7, 0))
def days(db, a):
    return per_user(db, a, inside(db.visits, a, 0, 7), rows)


@CASES.add("PREDICT SUM(orders.amount, 0, 28) FOR EACH users.user_id", REGRESSION)
def the_unit_is_days_where_none_is_given(db, a):
    return per_user(db, a, inside(db.orders, a, 0, 28), total("amount"))


@CASES.add("PREDICT COUNT(visits.*, 0, 1) FOR EACH users.user_id", REGRESSION, past=visits_in(-1, 0))
def a_day(db, a):
    return per_user(db, a, inside(db.visits, a, 0, 1), rows)


@CASES.add("PREDICT COUNT(visits.*, 0, 36, hours) FOR EACH users.user_id", REGRESSION, past=visits_in(-36, 0, "hours"))
def hours(db, a):
    return per_user(db, a, inside(db.visits, a, 0, 36, "hours"), rows)


@CASES.add("PREDICT COUNT(visits.*, 0, 60, minutes) FOR EACH users.user_id", REGRESSION)
def minutes_up_to_the_hour_itself(db, a):
    return per_user(db, a, inside(db.visits, a, 0, 60, "minutes"), rows)


@CASES.add("PREDICT COUNT(visits.*, 0, 60, seconds) FOR EACH users.user_id", REGRESSION)
def seconds_up_to_the_minute_itself(db, a):
    return per_user(db, a, inside(db.visits, a, 0, 60, "seconds"), rows)


@CASES.add("PREDICT EXISTS(visits.*, 1, 90, seconds) FOR EACH users.user_id", BINARY)
def a_window_that_starts_a_second_late(db, a):
    return per_user(db, a, inside(db.visits, a, 1, 90, "seconds"), rows) > 0


@CASES.add("PREDICT COUNT(orders.*, 0, 2, weeks) FOR EACH users.user_id", REGRESSION)
def weeks(db, a):
    return per_user(db, a, inside(db.orders, a, 0, 2, "weeks"), rows)


@CASES.add(
    "PREDICT COUNT(visits.*, 0, 1, months) FOR EACH users.user_id",
    REGRESSION,
    past=visits_in(-1, 0, "months"),
    anchors={"test": "2024-03-31", "step_days": 7},
)
def a_month_from_the_31st_ends_on_the_30th(db, a):
    return per_user(db, a, inside(db.visits, a, 0, 1, "months"), rows)


@CASES.add(
    "PREDICT COUNT(visits.*, 0, 1, months) FOR EACH users.user_id",
    REGRESSION,
    past=visits_in(-1, 0, "months"),
    anchors={"test": "2024-04-01", "step_days": 1},
)
def a_month_from_every_day(db, a):
    return per_user(db, a, inside(db.visits, a, 0, 1, "months"), rows)


@CASES.add(
    "PREDICT COUNT(orders.*, 0, 7) FOR EACH users.user_id WHERE COUNT(visits.*, -2, -1, months) >= 4",
    REGRESSION,
    anchors={"test": "2024-03-31", "step_days": 1},
)
def the_month_before_the_last(db, a):
    before = per_user(db, a, inside(db.visits, a, -2, -1, "months"), rows)
    return per_user(db, a, inside(db.orders, a, 0, 7), rows)[before >= 4]


@CASES.add(
    "PREDICT COUNT(orders.*, 7, 14, days) FOR EACH users.user_id",
    REGRESSION,
    past=lambda db, a: per_user(db, a, inside(db.orders, a, -7, 0), rows),
)
def the_week_after_next(db, a):
    return per_user(db, a, inside(db.orders, a, 7, 14), rows)


@CASES.add("PREDICT SUM(orders.amount, 1, 3, weeks) FOR EACH users.user_id", REGRESSION)
def weeks_that_start_later(db, a):
    return per_user(db, a, inside(db.orders, a, 1, 3, "weeks"), total("amount"))


@CASES.add(
    "PREDICT COUNT(orders.*, 0, 7) FOR EACH users.user_id",
    REGRESSION,
    anchors={"test": "2024-04-01T06:30:01", "step_days": 7},
)
def anchors_between_midnights(db, a):
    return per_user(db, a, inside(db.orders, a, 0, 7), rows)


@CASES.add(
    "PREDICT COUNT(orders.*, 0, 3) FOR EACH users.user_id",
    REGRESSION,
    anchors={"test": "2024-04-01", "step_days": 1, "train": 8},
)
def windows_that_overlap_each_get_the_fact(db, a):
    return per_user(db, a, inside(db.orders, a, 0, 3), rows)


@CASES.add("PREDICT COUNT(orders.*, 0, 7) FOR EACH users.user_id WHERE COUNT(orders.*, -INF, 0) < 8", REGRESSION)
def all_the_past(db, a):
    before = per_user(db, a, inside(db.orders, a, None, 0), rows)
    return per_user(db, a, inside(db.orders, a, 0, 7), rows)[before < 8]


@CASES.add(
    "PREDICT COUNT(orders.*, 0, 7) FOR EACH users.user_id WHERE SUM(orders.amount, -INF, -2, weeks) > 100",
    REGRESSION,
)
def all_the_past_but_the_last_weeks(db, a):
    before = per_user(db, a, inside(db.orders, a, None, -2, "weeks"), total("amount"))
    return per_user(db, a, inside(db.orders, a, 0, 7), rows)[before > 100]


@CASES.add("PREDICT COUNT(orders.*, 0, 7) FOR EACH users.user_id WHERE COUNT(visits.*, -28, -7) >= 4", REGRESSION)
def a_past_window_that_ends_before_the_anchor(db, a):
    before = per_user(db, a, inside(db.visits, a, -28, -7), rows)
    return per_user(db, a, inside(db.orders, a, 0, 7), rows)[before >= 4]


@CASES.add(
    "PREDICT COUNT(orders.*, 0, 7) FOR EACH users.user_id WHERE COUNT(visits.*, -1, 0, months) > 4",
    REGRESSION,
    anchors={"test": "2024-03-31", "step_days": 1},
)
def a_month_back_from_every_day(db, a):
    before = per_user(db, a, inside(db.visits, a, -1, 0, "months"), rows)
    return per_user(db, a, inside(db.orders, a, 0, 7), rows)[before > 4]


@CASES.add("PREDICT COUNT(orders.*, 0, 7) FOR EACH users.user_id WHERE EXISTS(visits.*, -1, 0, seconds)", REGRESSION)
def the_second_that_ends_at_the_anchor(db, a):
    before = per_user(db, a, inside(db.visits, a, -1, 0, "seconds"), rows)
    return per_user(db, a, inside(db.orders, a, 0, 7), rows)[before > 0]


@CASES.add("PREDICT SUM(orders.quantity, 0, 28) FOR EACH items.item_id", REGRESSION)
def entities_without_times_are_there_at_every_anchor(db, a):
    return each(db.items, inside(db.orders, a, 0, 28), "item_id", total("quantity"))


@CASES.add("PREDICT COUNT(users.*, 0, 28) > 0 FOR EACH cities.city_id", BINARY)
def rows_that_join_are_facts_of_their_parent(db, a):
    return holds(each(db.cities, inside(db.users, a, 0, 28), "city_id", rows), lambda n: n > 0)


@CASES.add("PREDICT COUNT(orders.*, 0, 7) = 0 FOR EACH users.user_id WHERE users.joined > '2024-01-20'", BINARY)
def entities_are_there_from_their_time_on_until_they_leave(db, a):
    late = holds(alive(db.users, a)["joined"], lambda t: t > pd.Timestamp("2024-01-20", tz="UTC"))
    return (per_user(db, a, inside(db.orders, a, 0, 7), rows) == 0)[late]
