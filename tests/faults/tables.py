"""Small tables that a campaign of faults works on, and recipes of both kinds of questions."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

USERS, ITEMS, ORDERS, DAYS = 40, 12, 600, 100

VALUES = "PREDICT COUNT(orders.*, 0, 7) > 1 FOR EACH users.user_id"
LINKS = "PREDICT LIST_DISTINCT(orders.item_id, 0, 7) RANK TOP 3 FOR EACH users.user_id"

STAGES = {
    "values": ("graph", "labels", "train", "predict", "evaluate"),
    "links": ("graph", "labels", "train", "embed", "retrieve", "evaluate"),
}
"""Kind of question -> its stages in order."""


def write_tables(folder: Path, seed: int = 0) -> None:
    """Write users, items and orders as Parquet."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    hours = np.sort(rng.uniform(0, 24 * DAYS, ORDERS))
    times = [datetime(2024, 1, 1) + timedelta(hours=float(hour)) for hour in hours]
    tables = {
        "users": {"user_id": np.arange(1, USERS + 1), "age": rng.integers(18, 80, USERS)},
        "items": {"item_id": np.arange(1, ITEMS + 1), "kind": [f"k{i % 3}" for i in range(ITEMS)]},
        "orders": {
            "user_id": rng.integers(1, USERS + 1, ORDERS),
            "item_id": rng.integers(1, ITEMS + 1, ORDERS),
            "created_at": pa.array(times, pa.timestamp("us")),
            "amount": rng.uniform(1, 9, ORDERS),
        },
    }
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")


def write_recipe(folder: Path, kind: str) -> Path:
    """Write the recipe of a kind of question over the tables of a folder; its lake is given by an override."""
    content: dict[str, Any] = {
        "lake": {"uri": str(folder / "lake")},
        "seed": 0,
        "tables": {
            "users": {"source": str(folder / "users.parquet"), "primary_key": "user_id"},
            "items": {"source": str(folder / "items.parquet"), "primary_key": "item_id"},
            "orders": {"source": str(folder / "orders.parquet"), "time_column": "created_at"},
        },
        "query": {"name": kind, "text": VALUES if kind == "values" else LINKS},
        "training": {"epochs": 3, "batch_size": 32, "gpu": "no", "checkpoint_steps": 5, "workers": 2},
        "evaluation": {"resamples": 50},
        "spark": {"master": "local[2]", "driver_memory": "1g", "shuffle_partitions": 2},
    }
    path = folder / f"{kind}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path
