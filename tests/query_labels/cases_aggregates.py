"""Aggregates: what each makes of values, of missing ones and of nothing, and of columns one hop away."""

from __future__ import annotations

import pandas as pd

from tests.query_labels.case import BINARY, MULTICLASS, REGRESSION, Cases, Labels, per_item, per_user
from tests.query_labels.database import Database
from tests.query_labels.oracle import (
    Value,
    alive,
    count,
    each,
    first,
    holds,
    inside,
    kinds,
    known,
    last,
    least,
    mean,
    most,
    parents,
    rows,
    texts,
    total,
)

CASES = Cases()


def order_rows(db: Database, anchor: int, start: int = 0, end: int = 28) -> pd.DataFrame:
    """Orders of the window, with the columns of their item and user."""
    facts = parents(inside(db.orders, anchor, start, end), db.items, "item_id", "items")
    return parents(facts, db.users, "user_id", "users")


def of_orders(value: Value, start: int = 0, end: int = 28) -> Labels:
    """The value of every user's orders, missing ones included."""
    return lambda db, a: per_user(db, a, order_rows(db, a, start, end), value)


@CASES.add("PREDICT COUNT(orders.*, 0, 28) FOR EACH users.user_id", REGRESSION, past=of_orders(rows, -28, 0))
def count_rows(db, a):
    return of_orders(rows)(db, a)


@CASES.add(
    "PREDICT COUNT(orders.amount, 0, 28) FOR EACH users.user_id", REGRESSION, past=of_orders(count("amount"), -28, 0)
)
def count_of_a_column_counts_its_values(db, a):
    return of_orders(count("amount"))(db, a)


@CASES.add("PREDICT COUNT(orders.channel, 0, 28) FOR EACH users.user_id", REGRESSION)
def count_of_a_text_column(db, a):
    return of_orders(count("channel"))(db, a)


@CASES.add("PREDICT COUNT(orders.item_id, 0, 28) FOR EACH users.user_id", REGRESSION)
def count_of_a_foreign_key_counts_dangling_ones(db, a):
    return of_orders(count("item_id"))(db, a)


@CASES.add("PREDICT COUNT_DISTINCT(orders.channel, 0, 28) FOR EACH users.user_id", REGRESSION)
def count_distinct(db, a):
    return of_orders(kinds("channel"))(db, a)


@CASES.add(
    "PREDICT COUNT_DISTINCT(orders.item_id, 0, 28) FOR EACH users.user_id",
    REGRESSION,
    past=of_orders(kinds("item_id"), -28, 0),
)
def count_distinct_of_a_foreign_key_counts_dangling_ones(db, a):
    return of_orders(kinds("item_id"))(db, a)


@CASES.add("PREDICT COUNT_DISTINCT(orders.amount, 0, 28) FOR EACH users.user_id", REGRESSION)
def count_distinct_of_numbers(db, a):
    return of_orders(kinds("amount"))(db, a)


@CASES.add(
    "PREDICT SUM(orders.amount, 0, 7) FOR EACH users.user_id", REGRESSION, past=of_orders(total("amount"), -7, 0)
)
def sum_over_nothing_is_0(db, a):
    return of_orders(total("amount"), 0, 7)(db, a)


@CASES.add("PREDICT SUM(orders.quantity, 0, 28) FOR EACH users.user_id", REGRESSION)
def sum_of_whole_numbers(db, a):
    return of_orders(total("quantity"))(db, a)


@CASES.add("PREDICT AVG(orders.amount, 0, 7) FOR EACH users.user_id", REGRESSION, past=of_orders(mean("amount"), -7, 0))
def avg_over_nothing_drops_the_example(db, a):
    return known(of_orders(mean("amount"), 0, 7)(db, a))


@CASES.add("PREDICT AVG(orders.quantity, 0, 28) FOR EACH users.user_id", REGRESSION)
def avg_of_whole_numbers(db, a):
    return known(of_orders(mean("quantity"))(db, a))


@CASES.add(
    "PREDICT MIN(orders.amount, 0, 7) FOR EACH users.user_id", REGRESSION, past=of_orders(least("amount"), -7, 0)
)
def min_over_nothing_drops_the_example(db, a):
    return known(of_orders(least("amount"), 0, 7)(db, a))


@CASES.add("PREDICT MAX(orders.amount, 0, 7) FOR EACH users.user_id", REGRESSION, past=of_orders(most("amount"), -7, 0))
def max_over_nothing_drops_the_example(db, a):
    return known(of_orders(most("amount"), 0, 7)(db, a))


@CASES.add("PREDICT FIRST(orders.amount, 0, 28) FOR EACH users.user_id", REGRESSION)
def first_number(db, a):
    return known(of_orders(first("amount"))(db, a))


@CASES.add(
    "PREDICT LAST(orders.amount, 0, 28) FOR EACH users.user_id", REGRESSION, past=of_orders(last("amount"), -28, 0)
)
def last_number(db, a):
    return known(of_orders(last("amount"))(db, a))


@CASES.add(
    "PREDICT FIRST(orders.channel, 0, 28) FOR EACH users.user_id",
    MULTICLASS,
    past=of_orders(first("channel"), -28, 0),
)
def first_text(db, a):
    return known(of_orders(first("channel"))(db, a))


@CASES.add("PREDICT LAST(orders.channel, 0, 28) FOR EACH users.user_id", MULTICLASS)
def last_text(db, a):
    return known(of_orders(last("channel"))(db, a))


@CASES.add("PREDICT LAST(orders.gift, 0, 28) FOR EACH users.user_id", MULTICLASS)
def last_boolean(db, a):
    return texts(of_orders(last("gift"))(db, a))


@CASES.add("PREDICT FIRST(visits.page, 0, 1, hours) FOR EACH users.user_id", MULTICLASS)
def first_among_ties_and_fractions_of_a_second(db, a):
    return known(per_user(db, a, inside(db.visits, a, 0, 1, "hours"), first("page")))


@CASES.add('PREDICT SUM(items."Unit Price", 0, 28) FOR EACH users.user_id', REGRESSION)
def sum_of_a_parents_column(db, a):
    return of_orders(total("items.Unit Price"))(db, a)


@CASES.add("PREDICT AVG(items.price, 0, 28) FOR EACH users.user_id", REGRESSION)
def avg_of_a_parents_column(db, a):
    return known(of_orders(mean("items.price"))(db, a))


@CASES.add('PREDICT MAX("items"."Unit Price", 0, 28) FOR EACH "users"."user_id"', REGRESSION)
def max_of_a_parents_column(db, a):
    return known(of_orders(most("items.Unit Price"))(db, a))


@CASES.add("PREDICT COUNT_DISTINCT(items.category, 0, 28) FOR EACH users.user_id", REGRESSION)
def count_distinct_of_a_parents_column(db, a):
    return of_orders(kinds("items.category"))(db, a)


@CASES.add(
    "PREDICT FIRST(items.category, 0, 28) FOR EACH users.user_id",
    MULTICLASS,
    past=of_orders(first("items.category"), -28, 0),
)
def first_of_a_parents_column(db, a):
    return known(of_orders(first("items.category"))(db, a))


@CASES.add("PREDICT LAST(items.shelf, 0, 28) FOR EACH users.user_id", MULTICLASS)
def a_declared_category_of_numbers_gives_classes(db, a):
    return texts(of_orders(last("items.shelf"))(db, a))


@CASES.add("PREDICT LAST(items.price, 0, 28) FOR EACH users.user_id", REGRESSION)
def last_number_of_a_parent(db, a):
    return known(of_orders(last("items.price"))(db, a))


@CASES.add("PREDICT AVG(orders.amount, 0, 28) FOR EACH items.item_id", REGRESSION)
def another_entity_of_the_same_facts(db, a):
    return known(per_item(db, inside(db.orders, a, 0, 28), mean("amount")))


@CASES.add("PREDICT MAX(users.age, 0, 28) FOR EACH items.item_id", REGRESSION)
def the_other_parent_of_the_same_facts(db, a):
    return known(per_item(db, order_rows(db, a), most("users.age")))


@CASES.add("PREDICT COUNT_DISTINCT(orders.user_id, 0, 28) FOR EACH items.item_id", REGRESSION)
def how_many_buy_an_item(db, a):
    return per_item(db, inside(db.orders, a, 0, 28), kinds("user_id"))


@CASES.add("PREDICT AVG(users.age, 0, 56) > 40 FOR EACH cities.city_id", BINARY)
def facts_that_are_entities_elsewhere(db, a):
    return holds(each(alive(db.cities, a), inside(db.users, a, 0, 56), "city_id", mean("age")), lambda v: v > 40)
