"""The configured query is bound to the links that were found, and its anchors follow from the facts' times."""

import pytest

from gnnscale.config import bind_query, build_settings, plan_query_anchors
from gnnscale.schema import ConfigError, DataError, QueryError, ValueKind

DAY = 86_400
SIXTY, THIRTY = (0, 60 * DAY), (10 * DAY, 40 * DAY)


def bound(shop, text: str, **changes):
    settings = build_settings({**shop.content, "query": {"name": "q", "text": text}, **changes})
    return settings, bind_query(settings, shop.manifest)


def test_links_and_kinds_come_from_the_manifest(shop):
    query = bind_query(shop.settings, shop.manifest)
    assert (query.entity_link.name, query.target_link.name) == ("purchases.customer_id", "purchases.product_id")
    assert {link.name for link in query.graph.links} == {link.link.name for link in shop.manifest.links}
    assert query.graph.table("purchases").kinds == {
        "customer_id": ValueKind.TEXT,
        "product_id": ValueKind.TEXT,
        "quantity": ValueKind.NUMBER,
        "amount": ValueKind.NUMBER,
        "channel": ValueKind.TEXT,
        "bought_at": ValueKind.TIME,
    }


def test_a_query_that_does_not_fit_is_an_error(shop):
    text = shop.settings.query.text.replace("purchases", "purchase")
    with pytest.raises(QueryError, match="Did you mean 'purchases'"):
        bound(shop, text)


def test_anchors_follow_the_configuration(shop):
    settings = build_settings({**shop.content, "anchors": {"test": "2024-02-20", "step_days": 10, "train": 2}})
    plan = plan_query_anchors(settings, shop.query, shop.manifest.time_ranges)
    assert plan.test - plan.validation == 10 * DAY
    assert len(plan.train) == 2
    with pytest.raises(DataError, match="no row of 'purchases' has a time"):
        plan_query_anchors(settings, shop.query, {**shop.manifest.time_ranges, "purchases": None})


def test_anchors_stand_where_every_table_of_the_labels_has_facts(shop):
    both = "PREDICT COUNT(purchases.*, 0, 7) FOR EACH customers.customer_id ASSUMING EXISTS(mailings.*, 0, 7)"
    settings, query = bound(shop, both)
    ranges = {**shop.manifest.time_ranges, "purchases": SIXTY, "mailings": THIRTY}
    plan = plan_query_anchors(settings, query, ranges)
    assert plan.test == 33 * DAY and plan.latest == 40 * DAY
    # Only what the labels are made of bounds them: campaigns and the population's facts don't.
    one = "PREDICT COUNT(purchases.*, 0, 7) FOR EACH customers.customer_id WHERE EXISTS(mailings.*, -7, 0)"
    settings, query = bound(shop, one)
    assert plan_query_anchors(settings, query, ranges).test == 53 * DAY


def test_a_query_without_windows_is_asked_at_the_end_of_all_times(shop):
    settings, query = bound(shop, "PREDICT customers.age FOR EACH customers.customer_id")
    ranges = {"purchases": SIXTY, "mailings": (0, 70 * DAY + 1), "customers": None}
    plan = plan_query_anchors(settings, query, ranges)
    assert plan.static and plan.latest == 71 * DAY
    assert plan_query_anchors(settings, query, {"customers": None}).static


def test_what_a_ranking_is_judged_by_is_configured(shop):
    settings = {"evaluation": {"headline": "recall@50", "baselines": ["content", "popularity"]}}
    _, query = bound(shop, shop.settings.query.text, **settings)
    task, usual = query.task_type, shop.query.task_type
    assert task.metrics == ("recall@50", *usual.metrics) and task.validation[0] == "recall@50"
    assert task.baselines == ("content", "popularity") and task == usual
    with pytest.raises(ConfigError, match="are for rankings, and this asks for regression"):
        bound(shop, "PREDICT COUNT(purchases.*, 0, 7) FOR EACH customers.customer_id", **settings)


def test_what_is_new_is_asked_for_within_a_window_alone(shop):
    def asked(text: str):
        content = {**shop.content, "query": {"name": "q", "text": text, "new_only": True}}
        return bind_query(build_settings(content), shop.manifest)

    assert asked(shop.settings.query.text).new_only and not shop.query.new_only
    for text in (
        "PREDICT COUNT(purchases.*, 0, 7) FOR EACH customers.customer_id",
        "PREDICT LIST_DISTINCT(purchases.product_id) RANK TOP 5 FOR EACH customers.customer_id",
    ):
        with pytest.raises(ConfigError, match=r"query\.new_only=true is for rankings by LIST_DISTINCT with a window"):
            asked(text)
