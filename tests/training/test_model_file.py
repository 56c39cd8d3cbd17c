"""A model is of use on a graph that has grown since it was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gnnscale.config import build_settings
from gnnscale.schema import LakeError
from gnnscale.store import GraphStore
from gnnscale.training import TrainResult, load_link_model, save_model
from tests.conftest import Shop
from tests.embedded_shop import copy_shop, put_model, train_towers

NEW = 4


def untrained(shop: Shop, folder: Path, network: str, embedding: str) -> tuple[Any, Any]:
    """Settings and a lake whose model knows all products."""
    if network == "blocks":
        settings, lake, _ = train_towers(shop, folder, target_embedding=embedding)
        return settings, lake
    _, lake = copy_shop(shop, folder)
    model = {**shop.content["model"], "target_embedding": embedding}
    settings = build_settings({**shop.content, "lake": {"uri": lake.uri}, "model": model})
    put_model(settings, lake)
    return settings, lake


@pytest.mark.parametrize("embedding", ["lookup", "feature", "fusion"])
@pytest.mark.parametrize("network", ["two_branch", "blocks"])
def test_products_that_came_after_the_training_are_known_by_their_columns(
    shop: Shop, tmp_path: Path, network: str, embedding: str
) -> None:
    settings, lake = untrained(shop, tmp_path, network, embedding)
    store = GraphStore.open(lake)
    products = store.node_count("products")
    anchor = shop.plan.latest - store.manifest.origin
    whole = load_link_model(settings, lake, store)
    weights = {
        name: weight[: products - NEW] if weight.shape[:1] == (products,) else weight
        for name, weight in whole.model.state_dict().items()
    }
    save_model(lake, settings.query.name, TrainResult(weights, {}, [], [], "map@10"))
    grown = load_link_model(settings, lake, store)
    before, after = (model.encode_targets(model.target_batch(np.arange(products), anchor)) for model in (whole, grown))
    np.testing.assert_array_equal(before[: products - NEW], after[: products - NEW])
    # What the old ones' own embeddings say is not known of the new ones, and their columns say as much as ever.
    fresh = torch.cat([m for n, m in grown.model.named_buffers() if n.endswith("learned")])
    assert fresh[: products - NEW].all() and not fresh[products - NEW :].any()
    same = np.array_equal(before[products - NEW :], after[products - NEW :])
    assert same == (embedding == "feature")


def test_fewer_products_than_were_trained_on_are_refused(shop: Shop, tmp_path: Path) -> None:
    settings, lake = untrained(shop, tmp_path, "two_branch", "fusion")
    store = GraphStore.open(lake)
    whole = load_link_model(settings, lake, store).model
    weights = dict(whole.state_dict())
    weights["described.learned"] = torch.ones(store.node_count("products") + 1, dtype=torch.bool)
    save_model(lake, settings.query.name, TrainResult(weights, {}, [], [], "map@10"))
    with pytest.raises(LakeError, match="does not fit the graph or the configuration any more"):
        load_link_model(settings, lake, store)
