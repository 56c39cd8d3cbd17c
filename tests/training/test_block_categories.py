"""What only a category tells is learned from blocks, and not without the categories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gnnscale.batches import AnswerShape
from gnnscale.batches.blocks.block_loader import BlockLoader
from gnnscale.batches.blocks.category_codes import CategoryCodes
from gnnscale.query import BINARY_CLASSIFICATION
from gnnscale.sampling import NeighborSampler
from gnnscale.training import Trainer
from tests.gpu.graphs import CUSTOMERS, DAY, PRODUCTS, shop_store
from tests.training.block_job import block_task, settings_of

DRAWN, TRAINED, CATEGORIES = 1500, 400, 6


@pytest.mark.parametrize("decides", ["customers", "products"])
def test_a_label_that_a_category_decides_is_learned(tmp_path: Path, decides: str) -> None:
    store, rng = shop_store(tmp_path), np.random.default_rng(0)
    # From a customer to the last purchase, and to its product.
    hops = [{"purchases.customer_id": 1}, {"purchases.product_id": 1}]
    sampler = NeighborSampler(store, hops, "last", table="customers")
    codes = {
        table: CategoryCodes(rng.integers(0, CATEGORIES + 1, (nodes, 1)).astype(np.int32), (CATEGORIES,))
        for table, nodes in (("customers", CUSTOMERS), ("products", PRODUCTS))
    }
    features = {table.name: np.ones((table.rows, 1), np.float32) for table in store.manifest.tables}
    given = rng.integers(0, CUSTOMERS, DRAWN), rng.integers(20, 60, DRAWN).astype(np.int32) * DAY
    block = BlockLoader(sampler, features, *given, codes=codes).build(np.arange(DRAWN))
    place = next(i for i, path in enumerate(block.hops) if (path[-1].target if path else "customers") == decides)
    # Half of the categories, of the customer or of the product; whether there is a product must not tell anything.
    values = (block.codes[place].reshape(DRAWN, 1) > CATEGORIES // 2).numpy().astype(np.float32)
    there = np.flatnonzero(block.nodes[-1].reshape(DRAWN) >= 0)
    training, validation = there[:TRAINED], there[TRAINED:]
    shape = AnswerShape(BINARY_CLASSIFICATION)
    settings = settings_of(str(tmp_path), epochs=6, batch_size=50, learning_rate=3e-2, warmup_steps=2)

    def train(**seen: Any) -> dict[str, float]:
        source = BlockLoader(sampler, features, *given, batch_size=50, chosen=training, **seen)
        return Trainer(settings, block_task(settings, source, shape, values, validation)).run().best

    assert len(validation) > 100 and 0.2 < values[validation].mean() < 0.8
    assert train(codes=codes)["auroc"] > 0.95
    assert train()["auroc"] < 0.65
