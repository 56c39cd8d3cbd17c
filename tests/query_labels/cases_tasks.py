"""Tasks with answers of their own shape: frames, lists, links, and targets without a window."""

from __future__ import annotations

import pandas as pd

from tests.query_labels.case import (
    BINARY,
    FORECASTING,
    LINKS,
    MULTICLASS,
    MULTILABEL,
    REGRESSION,
    Cases,
    per_item,
    per_user,
)
from tests.query_labels.cases_aggregates import order_rows
from tests.query_labels.oracle import (
    alive,
    at_own_time,
    ceiled,
    distinct,
    each,
    holds,
    inside,
    known,
    last,
    mean,
    parents,
    present,
    rows,
    texts,
    total,
)

CASES = Cases()
USERS = " FOR EACH users.user_id"


def together(*frames):
    """One list of each entity's values."""
    return frames[0].index.to_series().map(lambda k: [frame[k] for frame in frames])


def spent(db, a, start, end):
    return per_user(db, a, inside(db.orders, a, start, end), total("amount"))


@CASES.add(
    "PREDICT SUM(orders.amount, 0, 7) FORECAST 3 TIMEFRAMES" + USERS,
    FORECASTING,
    past=lambda db, a: together(*[spent(db, a, -7, 0)] * 3),
)
def weeks_one_after_another(db, a):
    return together(spent(db, a, 0, 7), spent(db, a, 7, 14), spent(db, a, 14, 21))


@CASES.add("PREDICT SUM(orders.amount, 2, 5) FORECAST 4 TIMEFRAMES" + USERS, FORECASTING)
def frames_that_start_later(db, a):
    return together(*(spent(db, a, 2 + 3 * i, 5 + 3 * i) for i in range(4)))


@CASES.add(
    """PREDICT COUNT(orders.* WHERE items.category = 'food', 0, 2, weeks) FORECAST 2 TIMEFRAMES
    FOR EACH users.user_id WHERE EXISTS(orders.*, -14, 0)""",
    FORECASTING,
)
def frames_of_chosen_facts(db, a):
    facts = order_rows(db, a)
    facts = facts[facts["items.category"] == "food"]
    frames = [per_user(db, a, inside(facts, a, start, start + 14), rows) for start in (0, 14)]
    before = per_user(db, a, inside(db.orders, a, -14, 0), rows)
    return together(*frames)[before > 0]


@CASES.add(
    "PREDICT COUNT(visits.*, 0, 1, days) FORECAST 7 TIMEFRAMES FOR EACH users.user_id",
    FORECASTING,
    past=lambda db, a: together(*[per_user(db, a, inside(db.visits, a, -1, 0), rows)] * 7),
)
def seven_days(db, a):
    return together(*(per_user(db, a, inside(db.visits, a, i, i + 1), rows) for i in range(7)))


@CASES.add(
    "PREDICT LIST_DISTINCT(items.category, 0, 7) CLASSIFY" + USERS,
    MULTILABEL,
    past=lambda db, a: per_user(db, a, order_rows(db, a, -7, 0), distinct("items.category")),
)
def categories_of_a_week(db, a):
    return known(per_user(db, a, order_rows(db, a, 0, 7), distinct("items.category")))


@CASES.add("PREDICT LIST_DISTINCT(items.category, 0, 28) RANK TOP 2" + USERS, MULTILABEL)
def labels_are_all_of_them_whatever_top_says(db, a):
    return known(per_user(db, a, order_rows(db, a), distinct("items.category")))


@CASES.add("PREDICT LIST_DISTINCT(orders.channel WHERE orders.amount > 5, 0, 28) CLASSIFY" + USERS, MULTILABEL)
def channels_of_chosen_facts(db, a):
    facts = order_rows(db, a)
    return known(per_user(db, a, facts[facts["amount"] > 5], distinct("channel")))


@CASES.add("PREDICT LIST_DISTINCT(items.shelf, 0, 28) CLASSIFY TOP 3" + USERS, MULTILABEL)
def categories_that_are_numbers(db, a):
    return known(per_user(db, a, order_rows(db, a), distinct("items.shelf")))


def items_of(facts):
    """Keys of the items, None where there is none."""
    return sorted({int(v) for v in facts["item_id"].dropna()}) or None


def orders_of_items(db, a, start, end):
    facts = inside(db.orders, a, start, end)
    return facts[facts["item_id"].isin(db.items.index)]


@CASES.add("PREDICT LIST_DISTINCT(orders.item_id, 0, 7, days) RANK TOP 10" + USERS, LINKS)
def links(db, a):
    return known(per_user(db, a, orders_of_items(db, a, 0, 7), items_of))


@CASES.add("PREDICT LIST_DISTINCT(orders.item_id, 7, 21) RANK TOP 3" + USERS, LINKS)
def links_later(db, a):
    return known(per_user(db, a, orders_of_items(db, a, 7, 21), items_of))


@CASES.add(
    """PREDICT LIST_DISTINCT(orders.item_id WHERE items.category = 'toys' OR orders.gift = TRUE, 0, 28) RANK TOP 3
    FOR EACH users.user_id WHERE NOT users.country = 'FR'""",
    LINKS,
)
def links_of_chosen_facts(db, a):
    facts = parents(orders_of_items(db, a, 0, 28), db.items, "item_id", "items")
    facts = facts[(facts["items.category"] == "toys") | holds(facts["gift"], lambda v: v is True)]
    french = holds(alive(db.users, a)["country"], lambda v: v == "FR")
    return known(per_user(db, a, facts, items_of)[~french])


@CASES.add(
    "PREDICT AVG(orders.amount, 0, 14) FORECAST 2 TIMEFRAMES FOR EACH users.user_id",
    FORECASTING,
    past=lambda db, a: per_user(db, a, inside(db.orders, a, -14, 0), twice(mean("amount"))),
)
def a_frame_of_nothing_drops_the_example(db, a):
    frames = [per_user(db, a, inside(db.orders, a, start, start + 14), mean("amount")) for start in (0, 14)]
    there = frames[0].map(present) & frames[1].map(present)
    return together(*frames)[there]


def twice(value):
    """A list of a value and itself; missing where it is."""

    def of(facts):
        found = value(facts)
        return None if found is None else [found, found]

    return of


@CASES.add("PREDICT users.age" + USERS, REGRESSION, own_time=True)
def an_own_number(db, a):
    return known(at_own_time(db.users)["age"])


@CASES.add(
    "PREDICT users.age FOR EACH users.user_id WHERE users.country = 'DE' OR cities.size = 'big'",
    REGRESSION,
    own_time=True,
)
def an_own_number_of_some(db, a):
    users = parents(at_own_time(db.users), db.cities, "city_id", "cities")
    german = holds(users["country"], lambda v: v == "DE")
    return known(users["age"][german | holds(users["cities.size"], lambda v: v == "big")])


@CASES.add("PREDICT users.country" + USERS, MULTICLASS, own_time=True)
def an_own_text(db, a):
    return known(at_own_time(db.users)["country"])


@CASES.add("PREDICT users.hobbies CLASSIFY" + USERS, MULTILABEL, own_time=True)
def own_values_of_one_text(db, a):
    return known(at_own_time(db.users)["hobbies"].map(split))


@CASES.add("PREDICT LIST_DISTINCT(visits.topics, 0, 7) CLASSIFY" + USERS, MULTILABEL)
def values_of_many_texts(db, a):
    visits = inside(db.visits, a, 0, 7)
    values = visits.assign(value=visits["topics"].map(lambda text: split(text) or [])).explode("value")
    return known(per_user(db, a, values, distinct("value")))


@CASES.add("PREDICT LAST(visits.topics, 0, 28) CLASSIFY" + USERS, MULTILABEL)
def values_of_the_last_text(db, a):
    visits = inside(db.visits, a, 0, 28)
    visits = visits.assign(listed=visits["topics"].map(split))
    return known(per_user(db, a, visits, last("listed")))


def split(text):
    """Distinct values of a text, sorted; None where there are none."""
    return (sorted({v.strip() for v in text.split(",")} - {""}) or None) if present(text) else None


@CASES.add("PREDICT users.premium" + USERS, BINARY, own_time=True)
def an_own_boolean_is_true_or_false_or_not_known(db, a):
    return known(at_own_time(db.users)["premium"])


@CASES.add("PREDICT items.shelf FOR EACH items.item_id", MULTICLASS, static=True)
def an_own_declared_category(db, a):
    return texts(db.items["shelf"])


@CASES.add('PREDICT items."Unit Price" FOR EACH items.item_id', REGRESSION, static=True)
def a_quoted_column(db, a):
    return known(db.items["Unit Price"])


@CASES.add("PREDICT orders.amount FOR EACH orders.order_id WHERE items.category = 'food'", REGRESSION, own_time=True)
def facts_as_entities(db, a):
    orders = parents(at_own_time(db.orders), db.items, "item_id", "items")
    return known(orders["amount"][orders["items.category"] == "food"])


@CASES.add("PREDICT users.country = 'DE'" + USERS, BINARY, own_time=True)
def an_own_text_compared_is_not_known_where_missing(db, a):
    country = known(at_own_time(db.users)["country"])
    return country == "DE"


@CASES.add("PREDICT users.country NOT IN ('DE', 'FR')" + USERS, BINARY, own_time=True)
def a_negated_comparison_is_not_known_where_missing(db, a):
    return ~known(at_own_time(db.users)["country"]).isin(["DE", "FR"])


@CASES.add("PREDICT users.premium = TRUE AND NOT users.age > 40" + USERS, BINARY, own_time=True)
def own_columns_together_are_known_where_one_decides(db, a):
    users = at_own_time(db.users)
    premium, older = users["premium"].map(maybe), users["age"].map(lambda v: v > 40 if present(v) else None)
    false = (premium == False) | (older == True)  # noqa: E712
    true = (premium == True) & (older == False)  # noqa: E712
    return true[true | false]


@CASES.add("PREDICT users.age IS NULL OR users.country IN ('FR', 'AT')" + USERS, BINARY, own_time=True)
def an_own_column_is_missing(db, a):
    users = at_own_time(db.users)
    found = users["age"].isna() | holds(users["country"], lambda v: v in ("FR", "AT"))
    return found[found | users["country"].map(present)]


@CASES.add("PREDICT users.age > 40 AND COUNT(orders.*, 0, 28) > 0" + USERS, BINARY)
def an_own_column_beside_a_window_is_known_where_the_window_decides(db, a):
    users = alive(db.users, a)
    some = per_user(db, a, inside(db.orders, a, 0, 28), rows) > 0
    found = holds(users["age"], lambda v: v > 40) & some
    return found[users["age"].map(present) | ~some]


def of(facts, user):
    """The facts of one user."""
    return facts[facts["user_id"] == user]


def maybe(value):
    """A truth value; None where it is missing."""
    return bool(value) if present(value) else None


@CASES.add(
    "PREDICT users.age" + USERS + " WHERE COUNT(orders.*, -INF, 0) = 0 AND EXISTS(reviews.*)", REGRESSION, own_time=True
)
def a_population_by_what_was_before_the_own_time(db, a):
    users = at_own_time(db.users)
    never = [of(inside(db.orders, ceiled(t), None, 0), k).empty for k, t in users["when"].items()]
    reviewed = each(users, db.reviews, "user_id", rows) > 0
    return known(users["age"][reviewed & pd.Series(never, index=users.index)])


@CASES.add("PREDICT users.age" + USERS + " WHERE COUNT(visits.*, -3, 0, months) > 0", REGRESSION, own_time=True)
def a_population_by_the_months_before_the_own_time(db, a):
    users = at_own_time(db.users)
    counts = [len(of(inside(db.visits, ceiled(t), -3, 0, "months"), k)) for k, t in users["when"].items()]
    return known(users["age"][[n > 0 for n in counts]])


@CASES.add("PREDICT COUNT(reviews.*)" + USERS, REGRESSION, own_time=True)
def all_facts_without_times(db, a):
    return each(at_own_time(db.users), db.reviews, "user_id", rows)


@CASES.add("PREDICT AVG(reviews.stars)" + USERS, REGRESSION, own_time=True)
def an_average_without_a_window(db, a):
    return known(each(at_own_time(db.users), db.reviews, "user_id", mean("stars")))


@CASES.add(
    "PREDICT COUNT(reviews.* WHERE reviews.stars >= 4 AND items.category = 'food') > 0" + USERS, BINARY, own_time=True
)
def a_condition_without_a_window(db, a):
    reviews = parents(db.reviews, db.items, "item_id", "items")
    good = reviews[(reviews["stars"] >= 4) & (reviews["items.category"] == "food")]
    return each(at_own_time(db.users), good, "user_id", rows) > 0


@CASES.add("PREDICT SUM(reviews.stars) FOR EACH items.item_id", REGRESSION, static=True)
def items_without_a_window(db, a):
    return per_item(db, db.reviews, total("stars"))
