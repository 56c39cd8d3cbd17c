"""What is named of a graph and does not fit it is told before there are labels, or its arrays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gnnscale.schema import ConfigError
from gnnscale.training import check_graph
from tests.sequence_shop import SequenceShop, build_sequence_shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> SequenceShop:
    """Of which only what is written of the graph is looked at."""
    return build_sequence_shop(tmp_path_factory.mktemp("fits"))


def check(shop: SequenceShop, **sections: dict[str, Any]) -> None:
    rest = {name: section for name, section in sections.items() if name not in ("model", "training")}
    other = replace(shop, content={**shop.content, **rest})
    settings = other.settings(sections.get("model", {}), sections.get("training", {}))
    check_graph(settings, other.store.manifest, other.query(settings))


WALKS = {"cycle": ["purchases.customer_id", "purchases.product_id"], "number": 2, "length": 2, "top": 2}
THERE_AND_BACK = {**WALKS, "cycle": ["purchases.product_id", "purchases.product_id"]}
HOPS = [{"purchases.customer_id": 4}, {"purchases.product_id": 1}]


def wrong(walks: dict[str, Any]) -> dict[str, Any]:
    """Walks along a link that there is not."""
    return {**walks, "cycle": ["purchases.shop_id", walks["cycle"][1]]}


FAULTS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "weights of events": (
        {"model": {"network": "lightgcn", "lightgcn": {"event_weights": {"channel": {"web": 2}}}}},
        {"model": {"network": "lightgcn", "lightgcn": {"event_weights": {"channel": {"webb": 2}}}}},
        "no 'webb' in purchases.channel. Did you mean 'web'",
    ),
    "columns of groups": (
        {"model": {"network": "two_branch"}},
        {"model": {"network": "two_branch", "group_columns": ["brand"]}},
        "model.group_columns: 'brand' is not a categorical column of 'products'",
    ),
    "fan-outs": (
        {"model": {"network": "two_branch"}, "sampling": {"entity_hops": HOPS}},
        {"model": {"network": "two_branch"}, "sampling": {"entity_hops": HOPS[:1]}},
        "sampling.entity_hops must follow purchases.customer_id in hop 1",
    ),
    "fan-outs of blocks": (
        {"model": {"network": "blocks"}, "sampling": {"entity_hops": HOPS}},
        {"model": {"network": "blocks"}, "sampling": {"entity_hops": [{"purchases.shop_id": 4}]}},
        "purchases.shop_id",
    ),
    "columns of sequences": (
        {"model": {"network": "sequence", "sequence": {"action_type": "channel"}}},
        {"model": {"network": "sequence", "sequence": {"action_type": "kind"}}},
        "model.sequence names 'kind', no such column of 'purchases'; of this kind it has channel",
    ),
    "kinds of action": (
        {"model": {"network": "sequence", "sequence": {"action_type": "channel", "positive_types": ["web"]}}},
        {"model": {"network": "sequence", "sequence": {"action_type": "channel", "positive_types": ["wap"]}}},
        "model.sequence.positive_types has 'wap'",
    ),
    "walks": (
        {"model": {"network": "blocks"}, "sampling": {"strategy": "walk", "walks": WALKS}},
        {"model": {"network": "blocks"}, "sampling": {"strategy": "walk", "walks": wrong(WALKS)}},
        "step 1 of walks: no link 'purchases.shop_id' leaves 'customers'",
    ),
    "walks to hard negatives": (
        {"model": {"network": "blocks"}, "training": {"hard_walks": THERE_AND_BACK, "negative_strategy": "hard"}},
        {"model": {"network": "blocks"}, "training": {"hard_walks": wrong(WALKS), "negative_strategy": "hard"}},
        "step 1 of walks: no link 'purchases.shop_id' leaves 'products'",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_fit_the_graph_is_told(shop: SequenceShop, fault: str) -> None:
    fits, does_not, told = FAULTS[fault]
    check(shop, **fits)
    with pytest.raises(ConfigError, match=told):
        check(shop, **does_not)


def test_walks_of_pinsage_are_for_rows_of_one_table(shop: SequenceShop) -> None:
    with pytest.raises(ConfigError, match=r"pinsage is for rows of one table.*ranks 'products' for 'customers'"):
        check(shop, model={"network": "pinsage", "tower_channels": 16}, sampling={"strategy": "walk", "walks": WALKS})
