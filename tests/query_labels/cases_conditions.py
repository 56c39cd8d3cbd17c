"""Targets that are conditions: comparisons, two-valued logic, how the text may be written."""

from __future__ import annotations

from tests.query_labels.case import BINARY, REGRESSION, Cases, per_user
from tests.query_labels.cases_aggregates import order_rows
from tests.query_labels.oracle import (
    alive,
    first,
    holds,
    inside,
    kinds,
    last,
    least,
    mean,
    most,
    present,
    rows,
    total,
)

CASES = Cases()
USERS = " FOR EACH users.user_id"


def orders_of(db, a, value, start=0, end=28):
    return per_user(db, a, order_rows(db, a, start, end), value)


@CASES.add("PREDICT COUNT(orders.*, 0, 28) > 2" + USERS, BINARY, past=lambda db, a: orders_of(db, a, rows, -28, 0) > 2)
def greater(db, a):
    return orders_of(db, a, rows) > 2


@CASES.add("PREDICT SUM(orders.amount, 0, 28) <= 12.5" + USERS, BINARY)
def at_most(db, a):
    return orders_of(db, a, total("amount")) <= 12.5


@CASES.add("PREDICT COUNT(orders.*, 0, 7) != 1" + USERS, BINARY)
def not_equal(db, a):
    return orders_of(db, a, rows, 0, 7) != 1


@CASES.add("PREDICT COUNT(orders.*, 0, 28) IN (1, 3, 5)" + USERS, BINARY)
def one_of(db, a):
    return orders_of(db, a, rows).isin([1, 3, 5])


@CASES.add("PREDICT COUNT(orders.*, 0, 28) NOT IN (1, 2)" + USERS, BINARY)
def none_of(db, a):
    return ~orders_of(db, a, rows).isin([1, 2])


@CASES.add("PREDICT EXISTS(orders.*, 0, 7)" + USERS, BINARY, past=lambda db, a: orders_of(db, a, rows, -7, 0) > 0)
def exists(db, a):
    return orders_of(db, a, rows, 0, 7) > 0


@CASES.add("PREDICT NOT EXISTS(orders.* WHERE orders.gift = TRUE, 0, 28, days)" + USERS, BINARY)
def exists_not(db, a):
    facts = order_rows(db, a)
    return per_user(db, a, facts[holds(facts["gift"], lambda v: v is True)], rows) == 0


@CASES.add("PREDICT EXISTS(orders.amount, 0, 7)" + USERS, BINARY)
def exists_of_a_column_asks_for_a_value(db, a):
    facts = order_rows(db, a, 0, 7)
    return per_user(db, a, facts[facts["amount"].notna()], rows) > 0


@CASES.add(
    "PREDICT AVG(orders.amount, 0, 7) > 20" + USERS,
    BINARY,
    past=lambda db, a: holds(orders_of(db, a, mean("amount"), -7, 0), lambda v: v > 20),
)
def a_comparison_with_nothing_is_false_and_kept(db, a):
    return holds(orders_of(db, a, mean("amount"), 0, 7), lambda v: v > 20)


@CASES.add("PREDICT NOT AVG(orders.amount, 0, 7) > 20" + USERS, BINARY)
def its_negation_is_true(db, a):
    return ~holds(orders_of(db, a, mean("amount"), 0, 7), lambda v: v > 20)


@CASES.add("PREDICT NOT (NOT MIN(orders.amount, 0, 7) < 10)" + USERS, BINARY)
def twice_negated(db, a):
    return holds(orders_of(db, a, least("amount"), 0, 7), lambda v: v < 10)


@CASES.add("PREDICT MAX(orders.amount, 0, 7) IS NULL" + USERS, BINARY)
def nothing_is_null(db, a):
    return ~orders_of(db, a, most("amount"), 0, 7).map(present)


@CASES.add("PREDICT FIRST(orders.note, 0, 7) IS NOT NULL" + USERS, BINARY)
def something_is_not_null(db, a):
    return orders_of(db, a, first("note"), 0, 7).map(present)


@CASES.add("PREDICT LAST(orders.channel, 0, 28) = 'web'" + USERS, BINARY)
def last_text_is(db, a):
    return holds(orders_of(db, a, last("channel")), lambda v: v == "web")


@CASES.add("PREDICT LAST(orders.channel, 0, 28) != 'web'" + USERS, BINARY)
def last_text_is_not_and_nothing_is_neither(db, a):
    return holds(orders_of(db, a, last("channel")), lambda v: v != "web")


@CASES.add("PREDICT FIRST(orders.gift, 0, 28) = FALSE" + USERS, BINARY)
def first_boolean_is(db, a):
    return holds(orders_of(db, a, first("gift")), lambda v: v is False)


@CASES.add("PREDICT FIRST(orders.note, 0, 28) LIKE '%gift%'" + USERS, BINARY)
def first_text_is_like(db, a):
    return holds(orders_of(db, a, first("note")), lambda v: "gift" in v)


@CASES.add(
    "PREDICT LAST(orders.note, 0, 28) STARTS WITH 'g' AND LAST(orders.note, 0, 28) NOT CONTAINS '_'" + USERS, BINARY
)
def last_text_in_two_ways(db, a):
    return holds(orders_of(db, a, last("note")), lambda v: v.startswith("g") and "_" not in v)


@CASES.add("PREDICT FIRST(items.category, 0, 28) IN ('food', 'toys')" + USERS, BINARY)
def first_of_a_parents_column_is_one_of(db, a):
    return holds(orders_of(db, a, first("items.category")), lambda v: v in ("food", "toys"))


@CASES.add("PREDICT COUNT_DISTINCT(items.category, 0, 28) >= 3" + USERS, BINARY)
def several_categories(db, a):
    return orders_of(db, a, kinds("items.category")) >= 3


@CASES.add("PREDICT COUNT(orders.*, 0, 7) = 0 AND COUNT(visits.*, 0, 7) > 0" + USERS, BINARY)
def two_tables(db, a):
    return (orders_of(db, a, rows, 0, 7) == 0) & (per_user(db, a, inside(db.visits, a, 0, 7), rows) > 0)


@CASES.add("PREDICT COUNT(orders.*, 0, 7) = 0 OR SUM(orders.amount, 7, 14) > 25.5" + USERS, BINARY)
def two_windows(db, a):
    return (orders_of(db, a, rows, 0, 7) == 0) | (orders_of(db, a, total("amount"), 7, 14) > 25.5)


@CASES.add(
    "PREDICT EXISTS(orders.*, 0, 7) OR EXISTS(visits.*, 0, 1) AND NOT SUM(visits.seconds, 0, 7) < 100" + USERS, BINARY
)
def and_binds_before_or(db, a):
    visits = per_user(db, a, inside(db.visits, a, 0, 1), rows) > 0
    long = per_user(db, a, inside(db.visits, a, 0, 7), total("seconds")) >= 100
    return (orders_of(db, a, rows, 0, 7) > 0) | (visits & long)


@CASES.add(
    "PREDICT (EXISTS(orders.*, 0, 7) OR EXISTS(visits.*, 0, 1)) AND NOT SUM(visits.seconds, 0, 7) < 100" + USERS, BINARY
)
def parentheses_bind_first(db, a):
    visits = per_user(db, a, inside(db.visits, a, 0, 1), rows) > 0
    long = per_user(db, a, inside(db.visits, a, 0, 7), total("seconds")) >= 100
    return ((orders_of(db, a, rows, 0, 7) > 0) | visits) & long


@CASES.add(
    """-- how much, in
    predict /* four
    weeks */ sum(orders.amount where orders.channel in ('web','app') and not orders.gift = True, 0, +4, WEEKS) -- sum
    For Each users.user_id Where users."left" Is Null Assuming exists(visits.*, 0, 28, Days)""",
    REGRESSION,
)
def case_comments_and_line_breaks_do_not_matter(db, a):
    users = alive(db.users, a)
    facts = order_rows(db, a)
    keep = holds(facts["channel"], lambda v: v in ("web", "app")) & ~holds(facts["gift"], lambda v: v is True)
    visited = per_user(db, a, inside(db.visits, a, 0, 28), rows) > 0
    return per_user(db, a, facts[keep], total("amount"))[users["left"].isna() & visited]


@CASES.add(
    'PREDICT SUM("visits"."seconds", 0, 7) FOR EACH "users"."user_id" WHERE "users"."country" = "DE"', REGRESSION
)
def quotes_make_names_before_operators_and_texts_after_them(db, a):
    german = holds(alive(db.users, a)["country"], lambda v: v == "DE")
    return per_user(db, a, inside(db.visits, a, 0, 7), total("seconds"))[german]
