"""A lake as the embed stage leaves it: shoppers, items and their vectors, of any size."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gnnscale.config import Settings, build_settings
from gnnscale.inference.embedding_rows import pair_rows, vector_rows
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery
from gnnscale.query.anchors import AnchorPlan
from gnnscale.query.horizon import Horizon
from gnnscale.schema import GraphSchema, Table

TEST, LATEST = 1_709_000_000, 1_709_600_000
CHANNELS = 16
TEXT = "PREDICT LIST_DISTINCT(orders.item_id, 0, 7, days) RANK TOP 10 FOR EACH shoppers.shopper_id"
CATEGORIES = 12


@dataclass
class Inventory:
    """The lake and all that it was made from; vectors and pairs are those of the latest anchor."""

    lake: Lake
    content: dict[str, Any]
    query: PredictiveQuery
    plan: AnchorPlan
    items: np.ndarray
    shoppers: np.ndarray
    pairs: list[dict[int, float]]
    category: np.ndarray
    stock: np.ndarray
    taste: np.ndarray

    def settings(self, **retrieval: Any) -> Settings:
        """With a section ``retrieval`` of one's own."""
        return build_settings({**self.content, "retrieval": retrieval})

    def scores(self, shopper: int) -> np.ndarray:
        """Score of every item for one shopper, by the definition."""
        scores = self.items @ self.shoppers[shopper]
        for item, score in self.pairs[shopper].items():
            scores[item] = score
        return scores


def graph() -> GraphSchema:
    """Shoppers order items."""
    return GraphSchema(
        [
            Table("shoppers", primary_key="shopper_id", kinds={"shopper_id": "text", "taste": "text"}),
            Table("items", primary_key="item_id", kinds={"item_id": "number", "category": "text", "stock": "number"}),
            Table(
                "orders",
                time_column="at",
                foreign_keys={"shopper_id": "shoppers", "item_id": "items"},
                kinds={"shopper_id": "text", "item_id": "number", "at": "time"},
            ),
        ]
    )


def make_inventory(folder: Path, items: int, shoppers: int, seed: int = 0) -> Inventory:
    """Write the lake."""
    rng = np.random.default_rng(seed)
    lake = Lake(folder / "lake")
    category, stock = rng.integers(0, CATEGORIES, items), rng.integers(0, 3, items)
    taste = rng.integers(0, CATEGORIES, shoppers)
    centers = rng.normal(size=(CATEGORIES * 20, CHANNELS))
    # An item lies near one of its category's twenty centers.
    vectors = centers[category * 20 + rng.integers(0, 20, items)] + 0.5 * rng.normal(size=(items, CHANNELS))
    wishes = centers[rng.integers(0, len(centers), shoppers)] + 0.5 * rng.normal(size=(shoppers, CHANNELS))
    vectors, wishes = vectors.astype(np.float32), wishes.astype(np.float32)
    own = [rng.choice(items, 4, replace=False) for _ in range(shoppers)]
    scores = rng.normal(12, 6, (shoppers, 4)).astype(np.float32)
    names = pa.array([f"c{c}" for c in category]), pa.array([f"c{c}" for c in taste])
    lake.write("nodes_items", node_rows(items, {"raw_category": names[0], "raw_stock": pa.array(stock)}))
    lake.write("nodes_shoppers", node_rows(shoppers, {"raw_taste": names[1]}))
    lake.write("ids_items", pa.table({"key": pa.array(np.arange(items) + 1000), "node_id": np.arange(items)}))
    keys = pa.array([f"s{i}" for i in range(shoppers)])
    lake.write("ids_shoppers", pa.table({"key": keys, "node_id": np.arange(shoppers)}))
    for anchor in (TEST, LATEST):
        # The test anchor's vectors are others: nobody may mix them up.
        turned = 1.0 if anchor == LATEST else -1.0
        for name, values in (("items", vectors), ("shoppers", wishes * np.float32(turned))):
            lake.write(f"embeddings_{name}", vector_rows(np.arange(len(values)), anchor, values), mode="append")
        counts = np.full(shoppers, 4)
        rows = pair_rows(np.arange(shoppers), anchor, counts, np.concatenate(own), scores.ravel())
        lake.write("pairs_next_week", rows, mode="append")
    content = {
        "recipe": "inventory",
        "lake": {"uri": lake.uri},
        "tables": {name: {"source": "nowhere"} for name in ("shoppers", "items", "orders")},
        "query": {"name": "next_week", "text": TEXT},
    }
    plan = AnchorPlan(
        train=(TEST - 1_200_000,), validation=TEST - 600_000, test=TEST, latest=LATEST, horizon=Horizon(())
    )
    pairs = [dict(zip(a.tolist(), b.tolist(), strict=True)) for a, b in zip(own, scores, strict=True)]
    return Inventory(
        lake, content, PredictiveQuery(graph(), TEXT), plan, vectors, wishes, pairs, category, stock, taste
    )


def node_rows(count: int, columns: dict[str, pa.Array]) -> pa.Table:
    """Rows of ``nodes_<table>`` that were always there."""
    return pa.table({"node_id": np.arange(count), "time": pa.nulls(count, pa.int64()), **columns})


def anchor_of(rows: pa.Table) -> set[int]:
    """Anchors of some rows, epoch seconds."""
    return {int(time.replace(tzinfo=UTC).timestamp()) for time in set(rows["anchor_time"].to_pylist())}


def at(anchor: int) -> datetime:
    """An anchor as a time."""
    return datetime.fromtimestamp(anchor, UTC)
