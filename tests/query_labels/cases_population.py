"""Who is asked about: WHERE after the entity, ASSUMING, entities that come and go."""

from __future__ import annotations

from datetime import date

import pandas as pd

from tests.query_labels.case import BINARY, LINKS, REGRESSION, Cases, per_item, per_user
from tests.query_labels.cases_aggregates import order_rows
from tests.query_labels.oracle import (
    alive,
    each,
    first,
    holds,
    inside,
    known,
    last,
    mean,
    parents,
    present,
    rows,
    total,
)

CASES = Cases()
ORDERS = "PREDICT COUNT(orders.*, 0, 7) FOR EACH users.user_id WHERE "


def next_week(db, a, chosen=None):
    """The target of :data:`ORDERS`, of the users that are chosen."""
    labels = per_user(db, a, inside(db.orders, a, 0, 7), rows)
    return labels if chosen is None else labels[chosen]


def users_with_cities(db, a):
    return parents(alive(db.users, a), db.cities, "city_id", "cities")


@CASES.add(
    "PREDICT COUNT(orders.*, 0, 28) = 0 FOR EACH users.user_id WHERE COUNT(orders.*, -28, 0) > 0",
    BINARY,
    past=lambda db, a: per_user(db, a, inside(db.orders, a, -28, 0), rows) == 0,
)
def churn(db, a):
    before = per_user(db, a, inside(db.orders, a, -28, 0), rows)
    return (per_user(db, a, inside(db.orders, a, 0, 28), rows) == 0)[before > 0]


@CASES.add(ORDERS + "users.age >= 40", REGRESSION)
def an_own_number(db, a):
    return next_week(db, a, holds(alive(db.users, a)["age"], lambda v: v >= 40))


@CASES.add(ORDERS + "users.country = 'DE'", REGRESSION)
def an_own_text_in_its_case(db, a):
    return next_week(db, a, holds(alive(db.users, a)["country"], lambda v: v == "DE"))


@CASES.add(ORDERS + "NOT users.country = 'DE'", REGRESSION)
def not_of_an_own_text(db, a):
    return next_week(db, a, ~holds(alive(db.users, a)["country"], lambda v: v == "DE"))


@CASES.add(ORDERS + "users.country != 'DE' AND users.premium = FALSE", REGRESSION)
def two_conditions(db, a):
    users = alive(db.users, a)
    return next_week(
        db, a, holds(users["country"], lambda v: v != "DE") & holds(users["premium"], lambda v: v is False)
    )


@CASES.add(ORDERS + "users.country IS NULL OR users.age IS NOT NULL", REGRESSION)
def nulls(db, a):
    users = alive(db.users, a)
    return next_week(db, a, users["country"].isna() | users["age"].notna())


@CASES.add(ORDERS + "users.birthday < '1990-01-02'", REGRESSION)
def an_own_date(db, a):
    return next_week(db, a, holds(alive(db.users, a)["birthday"], lambda v: v < date(1990, 1, 2)))


@CASES.add(ORDERS + "users.joined <= '2023-12-31 23:59:59' OR users.joined > '2024-02-01'", REGRESSION)
def an_own_time(db, a):
    old, new = pd.Timestamp("2023-12-31 23:59:59", tz="UTC"), pd.Timestamp("2024-02-01", tz="UTC")
    return next_week(db, a, holds(alive(db.users, a)["joined"], lambda v: v <= old or v > new))


@CASES.add(ORDERS + "users.user_id IN ('u01', 'u05', 'u07', 'u08', 'u40', 'nobody')", REGRESSION)
def an_own_key(db, a):
    return next_week(db, a, holds(alive(db.users, a)["user_id"], lambda v: v in ("u01", "u05", "u07", "u08", "u40")))


@CASES.add(ORDERS + "users.email NOT LIKE '%.com'", REGRESSION)
def an_own_column_that_is_no_feature(db, a):
    return next_week(db, a, holds(alive(db.users, a)["email"], lambda v: not v.endswith(".com")))


@CASES.add(ORDERS + "cities.size = 'big'", REGRESSION)
def a_parents_text(db, a):
    return next_week(db, a, holds(users_with_cities(db, a)["cities.size"], lambda v: v == "big"))


@CASES.add(ORDERS + "NOT cities.size = 'big'", REGRESSION)
def not_of_a_parents_text_holds_where_there_is_no_parent(db, a):
    return next_week(db, a, ~holds(users_with_cities(db, a)["cities.size"], lambda v: v == "big"))


@CASES.add(ORDERS + "cities.size IS NULL", REGRESSION)
def a_missing_parents_column_is_null(db, a):
    return next_week(db, a, users_with_cities(db, a)["cities.size"].isna())


@CASES.add(ORDERS + """cities.name = "L'Aquila" OR cities.name LIKE 'B%n'""", REGRESSION)
def either_quote(db, a):
    named = holds(
        users_with_cities(db, a)["cities.name"], lambda v: v == "L'Aquila" or (v[0] == "B" and v.endswith("n"))
    )
    return next_week(db, a, named)


@CASES.add(ORDERS + "cities.founded > '1300-01-01' AND (users.premium = TRUE OR users.age < 30)", REGRESSION)
def parentheses(db, a):
    users = users_with_cities(db, a)
    either = holds(users["premium"], lambda v: v is True) | holds(users["age"], lambda v: v < 30)
    return next_week(db, a, holds(users["cities.founded"], lambda v: v > date(1300, 1, 1)) & either)


@CASES.add(ORDERS + "EXISTS(visits.*, -14, 0)", REGRESSION)
def something_in_the_past_without_a_unit(db, a):
    return next_week(db, a, per_user(db, a, inside(db.visits, a, -14, 0), rows) > 0)


@CASES.add(ORDERS + "NOT EXISTS(visits.* WHERE visits.page = 'cart', -14, 0)", REGRESSION)
def nothing_in_the_past(db, a):
    visits = inside(db.visits, a, -14, 0)
    return next_week(db, a, per_user(db, a, visits[visits["page"] == "cart"], rows) == 0)


@CASES.add(ORDERS + "AVG(orders.amount, -28, 0) > 20", REGRESSION)
def an_average_over_nothing_is_not_greater(db, a):
    before = per_user(db, a, inside(db.orders, a, -28, 0), mean("amount"))
    return next_week(db, a, holds(before, lambda v: v > 20))


@CASES.add(ORDERS + "NOT AVG(orders.amount, -28, 0) > 20", REGRESSION)
def the_negation_holds_of_an_average_over_nothing(db, a):
    before = per_user(db, a, inside(db.orders, a, -28, 0), mean("amount"))
    return next_week(db, a, ~holds(before, lambda v: v > 20))


@CASES.add(ORDERS + "MAX(visits.seconds, -7, 0) IS NULL", REGRESSION)
def a_maximum_over_nothing_is_null(db, a):
    before = per_user(db, a, inside(db.visits, a, -7, 0), last("seconds"))
    return next_week(db, a, ~before.map(present))


@CASES.add(ORDERS + "LAST(orders.channel, -INF, 0) = 'web'", REGRESSION)
def the_last_one_ever(db, a):
    before = per_user(db, a, inside(db.orders, a, None, 0), last("channel"))
    return next_week(db, a, holds(before, lambda v: v == "web"))


@CASES.add(ORDERS + "FIRST(items.category, -28, 0) IN ('food', 'Food')", REGRESSION)
def the_first_of_a_parents_column(db, a):
    before = per_user(db, a, order_rows(db, a, -28, 0), first("items.category"))
    return next_week(db, a, holds(before, lambda v: v in ("food", "Food")))


@CASES.add(ORDERS + "COUNT(orders.*, -28, 0) >= 2 AND (SUM(visits.seconds, -7, 0) = 0 OR users.age > 50)", REGRESSION)
def past_windows_of_two_tables_and_a_column(db, a):
    bought = per_user(db, a, inside(db.orders, a, -28, 0), rows)
    spent = per_user(db, a, inside(db.visits, a, -7, 0), total("seconds"))
    old = holds(alive(db.users, a)["age"], lambda v: v > 50)
    return next_week(db, a, (bought >= 2) & ((spent == 0) | old))


@CASES.add(ORDERS + "COUNT(reviews.*) > 2", REGRESSION)
def facts_without_times_always_hold(db, a):
    return next_week(db, a, per_user(db, a, db.reviews, rows) > 2)


@CASES.add("PREDICT COUNT(orders.*, 0, 7) > 0 FOR EACH users.user_id ASSUMING COUNT(visits.*, 0, 7) > 1", BINARY)
def assuming_filters_by_the_future(db, a):
    return (next_week(db, a) > 0)[per_user(db, a, inside(db.visits, a, 0, 7), rows) > 1]


@CASES.add(
    """PREDICT SUM(orders.amount, 0, 14) FOR EACH users.user_id
    WHERE EXISTS(orders.*, -28, 0) ASSUMING NOT EXISTS(visits.* WHERE visits.page = 'help', 7, 14)""",
    REGRESSION,
)
def where_and_assuming(db, a):
    before = per_user(db, a, inside(db.orders, a, -28, 0), rows) > 0
    visits = inside(db.visits, a, 7, 14)
    helped = per_user(db, a, visits[visits["page"] == "help"], rows) > 0
    return per_user(db, a, inside(db.orders, a, 0, 14), total("amount"))[before & ~helped]


@CASES.add(
    """PREDICT LIST_DISTINCT(orders.item_id, 0, 7) RANK TOP 5 FOR EACH users.user_id
    WHERE cities.size = 'big' ASSUMING EXISTS(visits.*, 0, 7)""",
    LINKS,
)
def links_of_a_population(db, a):
    orders = inside(db.orders, a, 0, 7)
    items = known(each(alive(db.users, a), orders[orders["item_id"].isin(db.items.index)], "user_id", keys))
    users = users_with_cities(db, a)
    chosen = holds(users["cities.size"], lambda v: v == "big")
    chosen &= per_user(db, a, inside(db.visits, a, 0, 7), rows) > 0
    return items[chosen[items.index]]


def keys(facts):
    return sorted({int(v) for v in facts["item_id"].dropna()}) or None


@CASES.add("PREDICT COUNT(orders.*, 0, 28) FOR EACH items.item_id WHERE COUNT(orders.*, -28, 0) > 3", REGRESSION)
def a_population_without_times(db, a):
    before = per_item(db, inside(db.orders, a, -28, 0), rows)
    return per_item(db, inside(db.orders, a, 0, 28), rows)[before > 3]


@CASES.add("PREDICT COUNT(orders.*, 0, 7) FOR users.user_id = 'u07'", REGRESSION)
def naming_one_entity_restricts_predictions_alone(db, a):
    return next_week(db, a)


@CASES.add("PREDICT COUNT(orders.*, 0, 7) FOR users.user_id IN ('u07', 'u08') WHERE users.premium = TRUE", REGRESSION)
def so_does_naming_some(db, a):
    return next_week(db, a, holds(alive(db.users, a)["premium"], lambda v: v is True))


@CASES.add("PREDICT SUM(orders.quantity, 0, 28) FOR items.item_id = 3", REGRESSION)
def and_naming_one_by_a_number(db, a):
    return per_item(db, inside(db.orders, a, 0, 28), total("quantity"))
