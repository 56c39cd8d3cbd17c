"""The configured query is bound to the links that were found, and its anchors follow from the facts' times."""

import pytest

from gnnscale.config import bind_query, build_settings, plan_query_anchors
from gnnscale.schema import DataError, QueryError


def test_links_come_from_the_manifest(shop):
    query = bind_query(shop.settings, shop.manifest)
    assert (query.entity_link.name, query.target_link.name) == ("purchases.customer_id", "purchases.product_id")
    assert {link.name for link in query.graph.links} == {link.link.name for link in shop.manifest.links}


def test_a_query_that_does_not_fit_is_an_error(shop):
    text = shop.settings.query.text.replace("purchases", "purchase")
    settings = build_settings({**shop.content, "query": {"name": "q", "text": text}})
    with pytest.raises(QueryError, match="Did you mean 'purchases'"):
        bind_query(settings, shop.manifest)


def test_anchors_follow_the_configuration(shop):
    settings = build_settings({**shop.content, "anchors": {"test": "2024-02-20", "step_days": 10, "train": 2}})
    plan = plan_query_anchors(settings, shop.query, shop.manifest.table("purchases").time_range)
    assert plan.test - plan.validation == 10 * 86_400
    assert len(plan.train) == 2
    with pytest.raises(DataError, match="no row of 'purchases' has a time"):
        plan_query_anchors(settings, shop.query, None)
