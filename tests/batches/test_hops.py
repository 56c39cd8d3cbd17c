"""Neighborhoods that follow every link."""

from __future__ import annotations

import numpy as np
import pytest

from gnnscale.batches import BatchBuilder, Examples, default_hops
from gnnscale.batches.hops import link_sampling
from gnnscale.config.sections.sampling import SamplingSettings
from gnnscale.schema import GraphSchema, SchemaError, Table
from gnnscale.store import GraphStore
from tests.conftest import Shop


@pytest.fixture
def graph() -> GraphSchema:
    return GraphSchema(
        [
            Table("regions", primary_key="region_id"),
            Table("customers", primary_key="customer_id", foreign_keys={"region_id": "regions"}),
            Table("orders", primary_key="order_id", foreign_keys={"customer_id": "customers"}),
            Table("items", foreign_keys={"order_id": "orders", "product_id": "products"}),
            Table("products", primary_key="product_id"),
        ]
    )


def test_events_of_the_table_then_what_names_them_and_what_they_name(graph: GraphSchema) -> None:
    assert default_hops(graph, "customers", (100, 8, 0)) == (
        {"customers.region_id": 1, "orders.customer_id": 100},
        # From a region, its other customers; an order's own customer is where it was reached from.
        {"customers.region_id": 8, "items.order_id": 8},
        {"items.product_id": 1},
    )


def test_without_a_fanout_a_hop_only_looks_parents_up(graph: GraphSchema) -> None:
    hops = default_hops(graph, "items", (10, 0, 0, 0))
    assert hops == ({"items.order_id": 1, "items.product_id": 1}, {"orders.customer_id": 1}, {"customers.region_id": 1})


def test_both_directions_of_a_table_joined_with_itself_are_followed() -> None:
    graph = GraphSchema([Table("topics", primary_key="topic_id", foreign_keys={"parent_id": "topics"})])
    assert default_hops(graph, "topics", (7, 0)) == (
        {"rev_topics.parent_id": 7, "topics.parent_id": 1},
        {"topics.parent_id": 1},
    )


def test_hidden_tables_are_never_entered(graph: GraphSchema) -> None:
    hops = default_hops(graph, "customers", (100, 8, 0), frozenset({"items"}))
    assert not any(name.startswith("items") for hop in hops for name in hop)
    assert default_hops(graph, "customers", (100, 8), frozenset({"orders", "regions"})) == ()


def test_an_unknown_table_is_an_error(graph: GraphSchema) -> None:
    with pytest.raises(SchemaError, match="customer"):
        default_hops(graph, "customer")


def test_link_tasks_get_the_hops_that_they_need_where_none_are_configured(shop: Shop, store: GraphStore) -> None:
    sampling = link_sampling(shop.query, SamplingSettings())
    assert sampling.entity_hops[0]["purchases.customer_id"] > 1
    assert sampling.entity_hops[1] == {"mailings.campaign_id": 1, "purchases.product_id": 1}
    examples = Examples.unlabelled(np.arange(4), int(store.features("purchases").times.max()))
    batch = BatchBuilder(store, shop.query, SamplingSettings(), (), 0).build(examples)
    assert len(batch.candidate_node) > 0
    assert link_sampling(shop.query, shop.settings.sampling) == shop.settings.sampling
