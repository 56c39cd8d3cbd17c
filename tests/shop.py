"""A small shop: the tables that the tests build their graph from, and the recipe that goes with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

DAY = 86_400
OPENING = pd.Timestamp("2024-01-01", tz="UTC")
QUERY = "PREDICT LIST_DISTINCT(purchases.product_id, 0, 7, days) RANK TOP 10 FOR EACH customers.customer_id"
CAMPAIGNS = 6
TAGS = ["new", "green", "small"]
SPARK_SECTION = {
    "master": "local[2]",
    "driver_memory": "1g",
    "shuffle_partitions": 2,
    # On a few hundred rows, compiling a plan costs more than interpreting it, and so does planning anew.
    "conf": {
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.sql.adaptive.enabled": "false",
    },
}


def make_shop(
    folder: Path | str, seed: int = 0, customers: int = 40, products: int = 30, purchases: int = 600, days: int = 60
) -> dict[str, Any]:
    """Write the shop's tables as Parquet under ``folder/raw``.

    Keys are text, except those of campaigns. A seventh of the products has no row of its own; one product takes a
    fifth of all purchases; the last two customers never buy; some purchases name no product or an unknown customer;
    some are stamped at midnight to the microsecond, where anchors are, and the rest have fractional seconds. Products
    have tags, a description and a vector, each missing for some.

    Args:
        folder: gets ``raw/<table>.parquet``; the lake goes to ``lake``.
        seed: of everything random.
        customers, products, purchases: number of keys and of rows.
        days: from the opening to the last purchase.

    Returns:
        Content for :func:`gnnscale.config.build_settings`.
    """
    folder = Path(folder)
    (folder / "raw").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    customer_keys = np.array([f"c{i:03d}" for i in range(customers)])
    product_keys = np.array([f"p{i:03d}" for i in range(products)])
    tables = {
        "customers": _customers(rng, customer_keys),
        "products": _products(rng, product_keys[: products - products // 7]),
        "purchases": _purchases(rng, customer_keys, product_keys, purchases, days),
        "campaigns": _campaigns(rng, days),
        "mailings": _mailings(rng, customer_keys),
    }
    for name, frame in tables.items():
        frame.to_parquet(folder / "raw" / f"{name}.parquet", index=False)
    return settings_content(folder)


def settings_content(folder: Path) -> dict[str, Any]:
    """The recipe of a shop whose tables are under ``folder/raw``."""

    def source(name: str) -> str:
        return str(folder / "raw" / f"{name}.parquet")

    return {
        "recipe": "shop",
        "seed": 3,
        "lake": {"uri": str(folder / "lake")},
        "tables": {
            "customers": {"source": source("customers"), "primary_key": "customer_id", "columns": {"note": "ignore"}},
            "products": {
                "source": source("products"),
                "primary_key": "product_id",
                "keys_from": ["purchases.product_id"],
                "display": ["category", "product_id"],
                "columns": {"description": "text"},
            },
            "purchases": {"source": source("purchases"), "time_column": "bought_at"},
            "campaigns": {"source": source("campaigns"), "primary_key": "campaign_id", "time_column": "starts"},
            "mailings": {
                "source": source("mailings"),
                "foreign_keys": {"campaign_id": "campaigns"},
                "time_from": "campaign_id",
            },
        },
        "query": {"name": "next_week", "text": QUERY},
        "sampling": {
            "strategy": "last",
            "entity_hops": [
                {"purchases.customer_id": 12, "mailings.customer_id": 3},
                {"purchases.product_id": 1, "mailings.campaign_id": 1},
            ],
            "target_hops": [{"purchases.product_id": 6}],
        },
        "spark": SPARK_SECTION,
        "model": {
            "channels": 8,
            "hidden": 16,
            "tower_channels": 8,
            "feature_channels": 8,
            "id_channels": 4,
            "group_columns": ["category", "brand"],
        },
        "training": {"epochs": 1, "batch_size": 16, "warmup_steps": 2, "negatives": 16, "workers": 1, "gpu": "no"},
        "embedding": {"batch_size": 16},
        "retrieval": {"depth": 4},
        "evaluation": {"resamples": 50, "examples": 2},
    }


def with_relations(content: dict[str, Any]) -> dict[str, Any]:
    """The recipe with one relation of each kind."""
    event_table = {"event_table": "purchases"}
    relations = {
        "buys": {
            "kind": "events",
            **event_table,
            "source": "customer_id",
            "target": "product_id",
            "weight_by": "channel",
            "weights": {"web": 1, "store": 2.5},
            "period_days": 10,
        },
        "with": {
            "kind": "together",
            **event_table,
            "group": "customer_id",
            "item": "product_id",
            "within_days": 4,
            "max_neighbors": 3,
            "max_group": 14,
        },
        "like": {"kind": "attribute", "table": "products", "column": "brand"},
    }
    return {**content, "relations": relations}


def shop_tables(content: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """The raw tables of a recipe, as pandas reads them."""
    return {name: pd.read_parquet(table["source"]) for name, table in content["tables"].items()}


def edited_shop(
    content: dict[str, Any], folder: Path, table: str, edit: Callable[[pd.DataFrame], pd.DataFrame], **settings: Any
) -> dict[str, Any]:
    """The recipe with one table changed, and a lake of its own under ``folder``.

    Args:
        edit: gets a copy of the raw rows.
        settings: replace keys of the table's section.
    """
    path = folder / f"{table}.parquet"
    edit(pd.read_parquet(content["tables"][table]["source"])).to_parquet(path, index=False)
    tables = {**content["tables"], table: {**content["tables"][table], "source": str(path), **settings}}
    return {**content, "lake": {"uri": str(folder / "lake")}, "tables": tables}


def _customers(rng: np.random.Generator, keys: np.ndarray) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "customer_id": keys,
            "region": rng.choice(["north", "south", "east"], len(keys), p=[0.6, 0.25, 0.15]),
            "age": rng.integers(18, 80, len(keys)).astype(float),
            "note": "never a feature",
        }
    )
    frame.loc[rng.random(len(keys)) < 0.2, "age"] = np.nan
    frame.loc[rng.random(len(keys)) < 0.2, "region"] = None
    return frame.sample(frac=1, random_state=1)


def _products(rng: np.random.Generator, keys: np.ndarray) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "product_id": keys,
            "category": rng.choice(["food", "drink", "home"], len(keys)),
            "brand": rng.choice(["own", "other"], len(keys)),
            "price": np.exp(rng.normal(1, 1.5, len(keys))),
        }
    )
    frame.loc[frame.index % 9 == 4, "price"] = np.nan
    frame.loc[frame.index % 8 == 5, "category"] = None
    frame.loc[0, "price"] = 10_000.0
    frame["tags"] = [None if i % 6 == 1 else TAGS[: i % 4] for i in range(len(keys))]
    frame["description"] = [None if i % 7 == 2 else f"A {TAGS[i % 3]} thing, number {i}" for i in range(len(keys))]
    frame["vector"] = [None if i % 5 == 3 else [float(i), float(i % 2), 1.0] for i in range(len(keys))]
    return frame.sample(frac=1, random_state=2)


def _purchases(
    rng: np.random.Generator, customers: np.ndarray, products: np.ndarray, rows: int, days: int
) -> pd.DataFrame:
    buyers = customers[:-2]
    weights = 1 / np.arange(2, len(products) + 1)
    shares = np.concatenate([[0.2], 0.8 * weights / weights.sum()])
    micros = rng.integers(1, days * DAY * 1_000_000, rows)
    # At midnight, where windows begin and end; the last row pins the range of times.
    midnight = rng.random(rows) < 0.15
    micros[midnight] = rng.integers(1, days, midnight.sum()) * DAY * 1_000_000
    micros[-1] = days * DAY * 1_000_000 - 60_500_000
    frame = pd.DataFrame(
        {
            "customer_id": rng.choice(buyers, rows),
            "product_id": rng.choice(products, rows, p=shares).astype(object),
            "quantity": rng.integers(1, 6, rows),
            "amount": np.exp(rng.normal(2, 2, rows)),
            "channel": rng.choice(["web", "store", "app"], rows, p=[0.5, 0.4, 0.1]),
            "bought_at": OPENING + pd.to_timedelta(micros, unit="us"),
        }
    )
    # Every product is bought, so that those without a row of their own are all known.
    frame.loc[: len(products) - 1, "product_id"] = products
    late = frame["bought_at"] > OPENING + pd.Timedelta(days=days - 5)
    frame.loc[late & (frame["channel"] == "app"), "channel"] = "kiosk"
    frame.loc[frame.index % 101 == 100, "product_id"] = None
    frame.loc[frame.index % 150 == 149, "customer_id"] = "nobody"
    frame.loc[frame.index % 17 == 3, "amount"] = np.nan
    return frame.sample(frac=1, random_state=3)


def _campaigns(rng: np.random.Generator, days: int) -> pd.DataFrame:
    starts = OPENING + pd.to_timedelta(np.linspace(1, days - 2, CAMPAIGNS).astype(int), unit="D")
    return pd.DataFrame(
        {
            "campaign_id": np.arange(1, CAMPAIGNS + 1),
            "kind": rng.choice(["A", "B"], CAMPAIGNS),
            "starts": starts.date,
        }
    )


def _mailings(rng: np.random.Generator, customers: np.ndarray) -> pd.DataFrame:
    rows = 3 * len(customers)
    return pd.DataFrame(
        {
            "customer_id": rng.choice(customers, rows),
            "campaign_id": rng.integers(1, CAMPAIGNS + 1, rows),
            "medium": rng.choice(["post", "mail"], rows),
        }
    )
