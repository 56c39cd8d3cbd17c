"""WHERE inside an aggregation: which facts count."""

from __future__ import annotations

from datetime import date

import pandas as pd

from tests.query_labels.case import BINARY, MULTICLASS, REGRESSION, Cases, per_item, per_user
from tests.query_labels.cases_aggregates import order_rows
from tests.query_labels.oracle import first, holds, inside, known, mean, rows, total

CASES = Cases()


def counted(db, a, keep, start=0, end=28):
    """Orders of the window that ``keep`` chooses, for every user."""
    facts = order_rows(db, a, start, end)
    return per_user(db, a, facts[keep(facts)], rows)


def like(column, test):
    return lambda facts: holds(facts[column], test)


@CASES.add(
    "PREDICT COUNT(orders.* WHERE orders.channel = 'web', 0, 28) FOR EACH users.user_id",
    REGRESSION,
    past=lambda db, a: counted(db, a, like("channel", lambda v: v == "web"), -28, 0),
)
def text_is(db, a):
    return counted(db, a, like("channel", lambda v: v == "web"))


@CASES.add("PREDICT COUNT(orders.* WHERE orders.channel != 'web', 0, 28) FOR EACH users.user_id", REGRESSION)
def text_is_not_and_never_of_a_missing_one(db, a):
    return counted(db, a, like("channel", lambda v: v != "web"))


@CASES.add("PREDICT COUNT(orders.* WHERE NOT orders.channel = 'web', 0, 28) FOR EACH users.user_id", REGRESSION)
def not_of_a_comparison_holds_of_a_missing_one(db, a):
    return counted(db, a, lambda facts: ~holds(facts["channel"], lambda v: v == "web"))


@CASES.add("PREDICT SUM(orders.amount WHERE orders.amount > 12.25, 0, 28) FOR EACH users.user_id", REGRESSION)
def number_greater(db, a):
    facts = inside(db.orders, a, 0, 28)
    return per_user(db, a, facts[facts["amount"] > 12.25], total("amount"))


@CASES.add(
    "PREDICT COUNT(orders.* WHERE orders.amount <= -1.5 OR orders.amount >= 50, 0, 28) FOR EACH users.user_id",
    REGRESSION,
)
def negative_numbers_and_or(db, a):
    return counted(db, a, lambda facts: (facts["amount"] <= -1.5) | (facts["amount"] >= 50))


@CASES.add("PREDICT AVG(orders.amount WHERE orders.quantity < 3, 0, 28) FOR EACH users.user_id", REGRESSION)
def avg_over_nothing_that_counts_drops_the_example(db, a):
    facts = inside(db.orders, a, 0, 28)
    return known(per_user(db, a, facts[facts["quantity"] < 3], mean("amount")))


@CASES.add("PREDICT COUNT(orders.* WHERE orders.gift = TRUE, 0, 28) FOR EACH users.user_id", REGRESSION)
def boolean_is_true(db, a):
    return counted(db, a, like("gift", lambda v: v is True))


@CASES.add("PREDICT COUNT(orders.* WHERE orders.gift != true, 0, 28) FOR EACH users.user_id", REGRESSION)
def boolean_is_not_true(db, a):
    return counted(db, a, like("gift", lambda v: v is False))


@CASES.add("PREDICT COUNT(orders.* WHERE orders.amount IS NULL, 0, 28) FOR EACH users.user_id", REGRESSION)
def is_null(db, a):
    return counted(db, a, lambda facts: facts["amount"].isna())


@CASES.add("PREDICT COUNT(orders.* WHERE orders.note IS NOT NULL, 0, 28) FOR EACH users.user_id", REGRESSION)
def is_not_null(db, a):
    return counted(db, a, lambda facts: facts["note"].notna())


@CASES.add(
    "PREDICT COUNT(orders.* WHERE orders.channel IN ('web', 'app', 'none such'), 0, 28) FOR EACH users.user_id",
    REGRESSION,
)
def one_of_some_texts(db, a):
    return counted(db, a, like("channel", lambda v: v in ("web", "app")))


@CASES.add("PREDICT COUNT(orders.* WHERE orders.quantity IN (1, 4), 0, 28) FOR EACH users.user_id", REGRESSION)
def one_of_some_numbers(db, a):
    return counted(db, a, like("quantity", lambda v: v in (1, 4)))


@CASES.add("PREDICT COUNT(orders.* WHERE orders.channel NOT IN ('web'), 0, 28) FOR EACH users.user_id", REGRESSION)
def none_of_some_and_never_a_missing_one(db, a):
    return counted(db, a, like("channel", lambda v: v != "web"))


@CASES.add("PREDICT COUNT(orders.* WHERE orders.note LIKE '%gift', 0, 28) FOR EACH users.user_id", REGRESSION)
def like_is_of_the_whole_text_and_of_its_case(db, a):
    return counted(db, a, like("note", lambda v: v.endswith("gift")))


@CASES.add("PREDICT COUNT(orders.* WHERE orders.note LIKE '%line%line%', 0, 28) FOR EACH users.user_id", REGRESSION)
def like_passes_over_line_breaks(db, a):
    return counted(db, a, like("note", lambda v: v.count("line") > 1))


@CASES.add("PREDICT COUNT(orders.* WHERE orders.note NOT LIKE '%gift%', 0, 28) FOR EACH users.user_id", REGRESSION)
def not_like_and_never_a_missing_one(db, a):
    return counted(db, a, like("note", lambda v: "gift" not in v))


@CASES.add("PREDICT COUNT(orders.* WHERE orders.note CONTAINS '% g', 0, 28) FOR EACH users.user_id", REGRESSION)
def contains_takes_its_text_as_it_stands(db, a):
    return counted(db, a, like("note", lambda v: "% g" in v))


@CASES.add('PREDICT COUNT(orders.* WHERE orders.note NOT CONTAINS "gift", 0, 28) FOR EACH users.user_id', REGRESSION)
def not_contains_and_never_a_missing_one(db, a):
    return counted(db, a, like("note", lambda v: "gift" not in v))


@CASES.add("PREDICT COUNT(orders.* WHERE orders.note STARTS WITH 'gift', 0, 28) FOR EACH users.user_id", REGRESSION)
def starts_with(db, a):
    return counted(db, a, like("note", lambda v: v.startswith("gift")))


@CASES.add("PREDICT COUNT(orders.* WHERE orders.note ENDS WITH 'Ann', 0, 28) FOR EACH users.user_id", REGRESSION)
def ends_with(db, a):
    return counted(db, a, like("note", lambda v: v.endswith("Ann")))


@CASES.add("PREDICT COUNT(orders.* WHERE orders.note = '', 0, 28) FOR EACH users.user_id", REGRESSION)
def the_empty_text_is_a_value(db, a):
    return counted(db, a, like("note", lambda v: v == ""))


@CASES.add("PREDICT COUNT(orders.* WHERE items.code LIKE 'A_1%', 0, 28) FOR EACH users.user_id", REGRESSION)
def an_underscore_stands_for_itself(db, a):
    return counted(db, a, like("items.code", lambda v: v.startswith("A_1")))


@CASES.add("PREDICT COUNT(orders.* WHERE items.code LIKE '%.1', 0, 28) FOR EACH users.user_id", REGRESSION)
def so_does_a_dot(db, a):
    return counted(db, a, like("items.code", lambda v: v.endswith(".1")))


@CASES.add("PREDICT COUNT(orders.* WHERE items.code LIKE '[ab]%', 0, 28) FOR EACH users.user_id", REGRESSION)
def so_do_brackets(db, a):
    return counted(db, a, like("items.code", lambda v: v.startswith("[ab]")))


@CASES.add("PREDICT COUNT(orders.* WHERE items.code LIKE '%', 0, 28) FOR EACH users.user_id", REGRESSION)
def a_wildcard_alone_holds_of_every_text(db, a):
    return counted(db, a, lambda facts: facts["items.code"].notna())


@CASES.add("PREDICT COUNT(orders.* WHERE items.category = 'food', 0, 7) FOR EACH users.user_id", REGRESSION)
def a_parents_column(db, a):
    return counted(db, a, like("items.category", lambda v: v == "food"), 0, 7)


@CASES.add("PREDICT COUNT(orders.* WHERE NOT items.category = 'food', 0, 28) FOR EACH users.user_id", REGRESSION)
def a_missing_parent_has_missing_columns(db, a):
    return counted(db, a, lambda facts: ~holds(facts["items.category"], lambda v: v == "food"))


@CASES.add(
    """PREDICT SUM(orders.amount WHERE items."Unit Price" >= 10 AND orders.channel = 'web', 0, 28)
    FOR EACH users.user_id""",
    REGRESSION,
)
def own_and_parents_columns_together(db, a):
    facts = order_rows(db, a)
    keep = (facts["items.Unit Price"] >= 10) & holds(facts["channel"], lambda v: v == "web")
    return per_user(db, a, facts[keep], total("amount"))


@CASES.add("PREDICT COUNT(orders.* WHERE users.country = 'DE', 0, 28) FOR EACH items.item_id", REGRESSION)
def the_other_parents_column(db, a):
    facts = order_rows(db, a)
    return per_item(db, facts[holds(facts["users.country"], lambda v: v == "DE")], rows)


@CASES.add("PREDICT COUNT(orders.* WHERE users.premium = TRUE, 0, 28) > 1 FOR EACH users.user_id", BINARY)
def a_column_of_the_entity_itself(db, a):
    facts = order_rows(db, a)
    return per_user(db, a, facts[holds(facts["users.premium"], lambda v: v is True)], rows) > 1


@CASES.add("PREDICT FIRST(items.category WHERE orders.quantity > 2, 0, 28) FOR EACH users.user_id", MULTICLASS)
def an_aggregate_of_a_parents_column_over_chosen_facts(db, a):
    facts = order_rows(db, a)
    return known(per_user(db, a, facts[facts["quantity"] > 2], first("items.category")))


@CASES.add("PREDICT COUNT(orders.* WHERE items.shelf = 2, 0, 28) FOR EACH users.user_id", REGRESSION)
def a_number_that_is_declared_a_category_compares_as_a_number(db, a):
    return counted(db, a, like("items.shelf", lambda v: v == 2))


@CASES.add("PREDICT COUNT(orders.* WHERE items.item_id = 3, 0, 28) FOR EACH users.user_id", REGRESSION)
def a_parents_key(db, a):
    return counted(db, a, like("item_id", lambda v: v == 3))


@CASES.add("PREDICT COUNT(orders.* WHERE orders.item_id IN (3, 777), 0, 28) FOR EACH users.user_id", REGRESSION)
def an_own_foreign_key_that_dangles_is_a_value(db, a):
    return counted(db, a, like("item_id", lambda v: v in (3, 777)))


@CASES.add("PREDICT COUNT(orders.* WHERE orders.item_id IS NULL, 0, 28) FOR EACH users.user_id", REGRESSION)
def a_foreign_key_that_dangles_is_not_null(db, a):
    return counted(db, a, lambda facts: facts["item_id"].isna())


@CASES.add("PREDICT COUNT(orders.* WHERE items.item_id IS NULL, 0, 28) FOR EACH users.user_id", REGRESSION)
def the_key_of_its_parent_is(db, a):
    return counted(db, a, lambda facts: facts["items.item_id"].isna())


@CASES.add(
    "PREDICT COUNT(orders.* WHERE orders.ordered_at < '2024-02-13 12:00:00', 0, 28) FOR EACH users.user_id", REGRESSION
)
def a_time_before(db, a):
    return counted(db, a, like("when", lambda v: v < pd.Timestamp("2024-02-13 12:00", tz="UTC")))


@CASES.add("PREDICT COUNT(orders.* WHERE orders.ordered_at > '2024-01-29', 0, 14) FOR EACH users.user_id", REGRESSION)
def a_time_is_later_than_a_day_from_its_first_microsecond_on(db, a):
    return counted(db, a, like("when", lambda v: v > pd.Timestamp("2024-01-29", tz="UTC")), 0, 14)


@CASES.add("PREDICT COUNT(orders.* WHERE users.birthday >= '1990-01-02', 0, 28) FOR EACH items.item_id", REGRESSION)
def a_date(db, a):
    facts = order_rows(db, a)
    return per_item(db, facts[holds(facts["users.birthday"], lambda v: v >= date(1990, 1, 2))], rows)


@CASES.add("PREDICT COUNT(orders.* WHERE users.email LIKE '%@mail.%', 0, 28) FOR EACH items.item_id", REGRESSION)
def a_column_that_is_no_feature(db, a):
    facts = order_rows(db, a)
    return per_item(db, facts[holds(facts["users.email"], lambda v: "@mail." in v)], rows)


@CASES.add(
    """PREDICT COUNT(orders.* WHERE NOT (orders.channel = 'web' OR orders.amount > 20) AND orders.quantity >= 2, 0, 28)
    FOR EACH users.user_id""",
    REGRESSION,
)
def not_binds_before_and(db, a):
    def keep(facts):
        either = holds(facts["channel"], lambda v: v == "web") | (facts["amount"] > 20)
        return ~either & (facts["quantity"] >= 2)

    return counted(db, a, keep)


@CASES.add(
    """PREDICT COUNT(orders.* WHERE orders.channel = 'app' OR orders.channel = 'web' AND orders.quantity = 5, 0, 28)
    FOR EACH users.user_id""",
    REGRESSION,
)
def and_binds_before_or(db, a):
    def keep(facts):
        web = holds(facts["channel"], lambda v: v == "web")
        return holds(facts["channel"], lambda v: v == "app") | (web & (facts["quantity"] == 5))

    return counted(db, a, keep)
