"""The small shop as frames, and how they are fitted in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from tests.shop import make_shop, shop_tables

RANKING = "PREDICT LIST_DISTINCT(purchases.product_id, 0, 7, days) RANK TOP 5 FOR EACH customers.customer_id"
COUNTING = "PREDICT COUNT(purchases.*, 0, 7, days) FOR EACH customers.customer_id"

SETTINGS: dict[str, dict[str, Any]] = {
    "customers": {"columns": {"note": "ignore"}},
    "products": {"keys_from": ["purchases.product_id"], "columns": {"description": "text"}},
}

OVERRIDES: dict[str, Any] = {
    "anchors.train": 2,
    "model.channels": 8,
    "model.hidden": 16,
    "model.tower_channels": 8,
    "model.feature_channels": 8,
    "model.id_channels": 4,
    "training.epochs": 1,
    "training.batch_size": 16,
    "training.negatives": 16,
    "training.warmup_steps": 2,
    "training.workers": 1,
    "training.gpu": "no",
    "evaluation.resamples": 50,
    "evaluation.examples": 2,
    "spark.driver_memory": "1g",
    "spark.shuffle_partitions": 2,
}


def shop_frames(folder: Path) -> dict[str, pd.DataFrame]:
    """Customers, products and purchases of the shop."""
    frames = shop_tables(make_shop(folder))
    return {name: frames[name] for name in ("customers", "products", "purchases")}
