"""A small shop in memory, of arrays alone: who bought what, when and how, and labelled examples of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gnnscale.config import Settings, bind_query, build_settings
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery
from gnnscale.schema import EdgeType, FeatureManifest, GraphManifest, LinkManifest, TableManifest, ValueKind
from gnnscale.store import GraphStore
from tests.gpu.graphs import DAY, csr

CUSTOMERS, PRODUCTS, PURCHASES = 30, 16, 500
ANCHORS = {30: "train", 40: "train", 50: "validation"}
"""Day of each anchor, and its split; windows are of ten days."""
QUERY = "PREDICT LIST_DISTINCT(purchases.product_id, 0, 10, days) RANK TOP 5 FOR EACH customers.customer_id"


@dataclass(frozen=True)
class SequenceShop:
    """The shop with a lake that holds its labels."""

    content: dict[str, Any]
    lake: Lake
    store: GraphStore

    def settings(self, model: dict[str, Any], training: dict[str, Any]) -> Settings:
        """A recipe for the sequence network."""
        small = {"network": "sequence", "hidden": 16, "tower_channels": 8}
        own = {"epochs": 3, "batch_size": 4, "learning_rate": 1e-2, "warmup_steps": 2, "negatives": 16, "workers": 1}
        return build_settings({**self.content, "model": small | model, "training": own | training})

    def query(self, settings: Settings) -> PredictiveQuery:
        """The bound query."""
        return bind_query(settings, self.store.manifest)


def build_sequence_shop(folder: Path) -> SequenceShop:
    """Customers who mostly go from product to the next, by one of two channels; some purchases name no product."""
    rng = np.random.default_rng(11)
    customers = np.sort((CUSTOMERS * rng.random(PURCHASES) ** 1.5).astype(np.int64))
    times = rng.integers(0, 60 * DAY, PURCHASES)
    times = times[np.lexsort((times, customers))]
    steps = np.where(rng.random(PURCHASES) < 0.8, 1, rng.integers(0, PRODUCTS, PURCHASES))
    products = np.cumsum(steps) % PRODUCTS
    named = rng.random(PURCHASES) < 0.95
    rows = rng.permutation(PURCHASES)
    channels = rng.integers(1, 3, PURCHASES)
    links = [
        LinkManifest("purchases", f"{p}_id", f"{p}s", PURCHASES, 0, 0, 1, 1, PURCHASES) for p in ("customer", "product")
    ]
    sizes = {"customers": CUSTOMERS, "purchases": PURCHASES, "products": PRODUCTS}
    kinds = {
        "customers": {"customer_id": ValueKind.TEXT},
        "products": {"product_id": ValueKind.TEXT},
        "purchases": {
            "customer_id": ValueKind.TEXT,
            "product_id": ValueKind.TEXT,
            "bought_at": ValueKind.TIME,
            "channel": ValueKind.TEXT,
            "amount": ValueKind.NUMBER,
        },
    }
    features = (
        FeatureManifest("channel", "categorical", categories=("web", "store")),
        FeatureManifest("amount", "numerical"),
    )
    span = (0, 60 * DAY)
    tables = tuple(
        TableManifest(
            name,
            size,
            span if name == "purchases" else None,
            features if name == "purchases" else (),
            kinds=kinds[name],
        )
        for name, size in sizes.items()
    )
    edges = {
        EdgeType(links[0].link, True): csr(customers, rows, times, CUSTOMERS),
        EdgeType(links[0].link, False): csr(rows, customers, times, PURCHASES),
        EdgeType(links[1].link, False): csr(rows[named], products[named], times[named], PURCHASES),
        EdgeType(links[1].link, True): csr(products[named], rows[named], times[named], PRODUCTS),
    }
    arrays: dict[str, NDArray[Any]] = {}
    for edge_type, adjacency in edges.items():
        for name in ("indptr", "neighbors", "times"):
            arrays[f"{edge_type.table_name}/{name}"] = getattr(adjacency, name)
    for name, size in sizes.items():
        columns = 1 if name == "purchases" else 0
        arrays[f"nodes_{name}/numerical"] = rng.standard_normal((size, columns), np.float32)
        arrays[f"nodes_{name}/categorical"] = np.zeros((size, columns), np.int32)
        arrays[f"nodes_{name}/times"] = np.zeros(size, np.int32)
    arrays["nodes_purchases/categorical"][rows, 0] = channels
    for name, array in arrays.items():
        (folder / "store" / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / "store" / f"{name}.npy", array)
    lake = Lake(folder / "lake")
    labels = []
    for day, split in ANCHORS.items():
        for customer in range(CUSTOMERS):
            own = (customers == customer) & named & (times > day * DAY) & (times <= (day + 10) * DAY)
            labels.append((customer, day * DAY, np.unique(products[own]).tolist(), split))
    names = ("entity", "anchor_time", "targets", "split")
    columns_of = dict(zip(names, map(list, zip(*labels, strict=True)), strict=True))
    types = (pa.int64(), pa.int64(), pa.list_(pa.int64()), pa.string())
    schema = pa.schema(list(zip(names, types, strict=True)))
    lake.write("labels_next", pa.table(columns_of, schema))
    content = {
        "recipe": "shop",
        "seed": 3,
        "lake": {"uri": str(folder / "lake")},
        "tables": {
            "customers": {"source": "", "primary_key": "customer_id"},
            "products": {"source": "", "primary_key": "product_id"},
            "purchases": {"source": "", "time_column": "bought_at"},
        },
        "query": {"name": "next", "text": QUERY},
    }
    return SequenceShop(content, lake, GraphStore(GraphManifest(tables, tuple(links), 0, None, ()), folder / "store"))
