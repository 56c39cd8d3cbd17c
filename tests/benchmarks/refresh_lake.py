"""A lake of many shoppers for the benchmark of the refresh: their graph as the store maps it, keys, and a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from gnnscale.batches import BatchBuilder
from gnnscale.config import Settings, bind_query, build_settings
from gnnscale.lake import Lake
from gnnscale.nn import build_model
from gnnscale.schema import EdgeType, FeatureManifest, GraphManifest, LinkManifest, TableManifest, ValueKind
from gnnscale.store import GraphStore
from gnnscale.training import TrainResult, save_model

EVENTS, PRODUCTS, DAY = 20, 10_000, 86_400
START = 1_704_067_200
"""2024-01-01, in epoch seconds."""

YESTERDAY, TODAY = START + 60 * DAY, START + 61 * DAY
QUERY = "PREDICT LIST_DISTINCT(orders.product_id, 0, 7, days) RANK TOP 10 FOR EACH customers.customer_id"


def make_lake(folder: Path, shoppers: int, active: float) -> None:
    """Write the lake: every shopper has 20 events before :data:`YESTERDAY`, and a share of them one more until today.

    Args:
        folder: gets the lake and the arrays of the graph.
        shoppers: rows of the entities' table.
        active: share of shoppers that are active today.
    """
    rng = np.random.default_rng(0)
    some = np.sort(rng.permutation(shoppers)[: int(active * shoppers)])
    who = np.concatenate([np.repeat(np.arange(shoppers), EVENTS), some]).astype(np.int32)
    when = rng.integers(0, 60 * DAY, len(who)).astype(np.int32)
    when[shoppers * EVENTS :] = 60 * DAY + rng.integers(1, DAY, len(some))
    what = (PRODUCTS * rng.random(len(who)) ** 2).astype(np.int32)
    sizes = {"customers": shoppers, "products": PRODUCTS, "orders": len(who)}
    graph = folder / "graph"
    for column, parents in (("customer_id", who), ("product_id", what)):
        link = LinkManifest("orders", column, f"{column[:-3]}s", 0, 0, 0, 0, 0, 0).link
        rows = np.arange(len(who), dtype=np.int32)
        _save(graph / EdgeType(link, False).table_name, np.arange(len(who) + 1), parents, when)
        order = np.lexsort((when, parents))
        indptr = np.concatenate([[0], np.cumsum(np.bincount(parents, minlength=sizes[link.parent]))])
        _save(graph / EdgeType(link, True).table_name, indptr, rows[order], when[order])
    for name, size in sizes.items():
        (graph / f"nodes_{name}").mkdir(parents=True)
        np.save(graph / f"nodes_{name}/numerical.npy", rng.standard_normal((size, 4), np.float32))
        np.save(graph / f"nodes_{name}/categorical.npy", np.zeros((size, 0), np.int32))
        times = when if name == "orders" else np.full(size, np.iinfo(np.int32).min, np.int32)
        np.save(graph / f"nodes_{name}/times.npy", times)
    settings, store = open_lake(folder, sizes)
    lake, query = Lake(settings.lake.uri), bind_query(settings, store.manifest)
    for name in ("customers", "products"):
        keys = pa.array([f"{name[0]}{number:08d}" for number in range(sizes[name])])
        lake.write(f"ids_{name}", pa.table({"key": keys, "node_id": np.arange(sizes[name])}))
    lake.write_record("sizes", sizes)
    torch.manual_seed(0)
    builder = BatchBuilder(store, query, settings.sampling, settings.model.group_columns, settings.seed)
    weights = build_model(settings, query, store.manifest, builder.context_tables).state_dict()
    save_model(lake, settings.query.name, TrainResult(weights, {}, [], [], "map@10"))


def open_lake(folder: Path, sizes: dict[str, int] | None = None) -> tuple[Settings, GraphStore]:
    """Settings and graph of a lake that :func:`make_lake` has written."""
    sizes = sizes or Lake(str(folder / "lake")).read_record("sizes")
    assert sizes is not None
    keys = {"customers": "customer_id", "products": "product_id"}
    tables = {name: {"source": "none", "primary_key": key} for name, key in keys.items()}
    settings = build_settings(
        {
            "recipe": "shoppers",
            "lake": {"uri": str(folder / "lake")},
            "tables": {**tables, "orders": {"source": "none", "time_column": "ordered_at"}},
            "query": {"name": "next_week", "text": QUERY},
        }
    )
    return settings, GraphStore(_manifest(sizes), folder / "graph")


def _manifest(sizes: dict[str, int]) -> GraphManifest:
    kinds = {
        "customers": {"customer_id": ValueKind.TEXT},
        "products": {"product_id": ValueKind.TEXT},
        "orders": {"customer_id": ValueKind.TEXT, "product_id": ValueKind.TEXT, "ordered_at": ValueKind.TIME},
    }
    features = tuple(FeatureManifest(f"number_{i}", "numerical") for i in range(4))
    spans = {"orders": (START, TODAY)}
    tables = tuple(
        TableManifest(name, size, spans.get(name), features, kinds=kinds[name]) for name, size in sizes.items()
    )
    orders = sizes["orders"]
    links = tuple(
        LinkManifest("orders", f"{parent[:-1]}_id", parent, orders, 0, 0, sizes[parent], sizes[parent], EVENTS + 1)
        for parent in ("customers", "products")
    )
    return GraphManifest(tables, links, START, None)


def _save(folder: Path, indptr: NDArray[np.int64], neighbors: NDArray[np.int32], times: NDArray[np.int32]) -> None:
    folder.mkdir(parents=True)
    for name, array in (("indptr", indptr), ("neighbors", neighbors), ("times", times)):
        np.save(folder / f"{name}.npy", array)
