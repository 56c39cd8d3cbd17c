"""Events two links away, on a graph of arrays: purchases of the customers of a shop, and what they name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gnnscale.features import EntityFeatures
from gnnscale.schema import EdgeType, FeatureManifest, GraphManifest, LinkManifest, TableManifest
from gnnscale.store import ALWAYS, GraphStore
from tests.gpu.graphs import csr

DAY = 86_400
SHOPS, CUSTOMERS, PURCHASES, PRODUCTS = 4, 30, 700, 12
KINDS = ("a", "b", "c")
MEMBER = "customers.shop_id"
PATH = f"{MEMBER}/purchases.customer_id"


@pytest.fixture(scope="module")
def drawn() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    joined = rng.integers(-20, 60, CUSTOMERS) * DAY
    joined[rng.random(CUSTOMERS) < 0.2] = ALWAYS
    amount = rng.integers(-9, 20, PURCHASES).astype(np.float32)
    return {
        "shop": rng.integers(0, SHOPS, CUSTOMERS),
        "joined": joined,
        "customer": rng.integers(0, CUSTOMERS, PURCHASES),
        "product": rng.integers(0, PRODUCTS, PURCHASES),
        "time": rng.integers(0, 90 * DAY, PURCHASES),
        # Of numbers that may be missing, the mean stands for one that is.
        "amount": np.where(rng.random(PURCHASES) < 0.2, 0, amount).astype(np.float32),
        "kind": rng.integers(0, len(KINDS) + 1, PRODUCTS).astype(np.int32),
    }


@pytest.fixture(scope="module")
def store(drawn, tmp_path_factory: pytest.TempPathFactory) -> GraphStore:
    folder: Path = tmp_path_factory.mktemp("two_links")
    sizes = {"shops": SHOPS, "customers": CUSTOMERS, "purchases": PURCHASES, "products": PRODUCTS}
    features = {
        "purchases": (FeatureManifest("amount", "numerical", missing=0.2),),
        "products": (FeatureManifest("kind", "categorical", categories=KINDS),),
    }
    span = (0, 90 * DAY)
    tables = tuple(
        TableManifest(name, size, span if name == "purchases" else None, features.get(name, ()))
        for name, size in sizes.items()
    )
    ends = {
        LinkManifest("customers", "shop_id", "shops", CUSTOMERS, 0, 0, 1, 1, 1): (drawn["shop"], drawn["joined"]),
        LinkManifest("purchases", "customer_id", "customers", PURCHASES, 0, 0, 1, 1, 1): (
            drawn["customer"],
            drawn["time"],
        ),
        LinkManifest("purchases", "product_id", "products", PURCHASES, 0, 0, 1, 1, 1): (
            drawn["product"],
            drawn["time"],
        ),
    }
    arrays = {}
    for link, (parents, times) in ends.items():
        rows = np.arange(len(parents))
        edges = {False: csr(rows, parents, times, len(rows)), True: csr(parents, rows, times, sizes[link.parent])}
        for reverse, adjacency in edges.items():
            for part in ("indptr", "neighbors", "times"):
                arrays[f"{EdgeType(link.link, reverse).table_name}/{part}"] = getattr(adjacency, part)
    for name, size in sizes.items():
        arrays[f"nodes_{name}/numerical"] = np.zeros((size, 0), np.float32)
        arrays[f"nodes_{name}/categorical"] = np.zeros((size, 0), np.int32)
        arrays[f"nodes_{name}/times"] = np.full(size, ALWAYS, np.int32)
    arrays["nodes_purchases/numerical"] = drawn["amount"][:, None]
    arrays["nodes_purchases/times"] = drawn["time"].astype(np.int32)
    arrays["nodes_products/categorical"] = drawn["kind"][:, None]
    for name, array in arrays.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{name}.npy", array)
    return GraphStore(GraphManifest(tables, tuple(ends), 0, None), folder)


def seen(drawn, shop: int, anchor: int) -> pd.DataFrame:
    """Purchases of a shop's customers up to an anchor; each counts from when its customer has joined, too."""
    frame = pd.DataFrame({name: drawn[name] for name in ("customer", "product", "time", "amount")})
    since = np.maximum(frame["time"], drawn["joined"][frame["customer"]])
    frame = frame.assign(age=anchor - since, kind=drawn["kind"][frame["product"]])
    frame["amount"] = frame["amount"].where(frame["amount"] != 0)
    return frame[(drawn["shop"][frame["customer"]] == shop) & (frame["age"] >= 0)]


ASKED = [(shop, day) for shop in range(SHOPS) for day in (-1, 10, 45, 100)]


@pytest.mark.parametrize("threads", [1, 3])
def test_events_two_links_away_equal_a_plain_reading(drawn, store, threads) -> None:
    features = EntityFeatures(store, "shops", threads=threads)
    shops, anchors = np.array([s for s, _ in ASKED]), np.array([d * DAY for _, d in ASKED], np.int32)
    table = pd.DataFrame(features.compute(shops, anchors), columns=features.names)
    for row, (shop, day) in enumerate(ASKED):
        got, mine = table.loc[row], seen(drawn, shop, day * DAY)
        recent = mine[mine["age"] < 28 * DAY]
        days = np.unique(mine["age"] // DAY)
        assert got[f"count({PATH}, 28d)"] == len(recent)
        assert got[f"count({PATH}, all)"] == len(mine)
        assert got[f"active_days({PATH}, all)"] == len(days)
        assert got[f"sum({PATH}, amount, 28d)"] == pytest.approx(recent["amount"].sum())
        assert got[f"mean({PATH}, amount, 28d)"] == pytest.approx(recent["amount"].mean(), nan_ok=True)
        weight = np.exp2(-mine["age"] / (30 * DAY))
        assert got[f"count({PATH}, half 30d)"] == pytest.approx(weight.sum(), rel=1e-5)
        known = mine["amount"].notna()
        mean = (weight * mine["amount"])[known].sum() / weight[known].sum() if known.any() else np.nan
        assert got[f"mean({PATH}, amount, half 30d)"] == pytest.approx(mean, rel=1e-4, nan_ok=True)
        assert got[f"distinct({PATH}, product_id, 28d)"] == recent["product"].nunique()
        assert got[f"gap_deviation({PATH})"] == pytest.approx(
            np.diff(days).std() if len(days) > 1 else np.nan, rel=1e-5, nan_ok=True
        )
        decayed = np.exp2(-mine["age"] / (90 * DAY))
        for code, kind in enumerate(KINDS, start=1):
            share = decayed[mine["kind"] == code].sum() / decayed.sum() if len(mine) else np.nan
            assert got[f"share({PATH}, products.kind={kind})"] == pytest.approx(share, rel=1e-5, nan_ok=True)
        members = (drawn["shop"] == shop) & (drawn["joined"] <= day * DAY)
        assert got[f"count({MEMBER}, all)"] == members.sum()
    assert table[f"count({PATH}, 28d)"].max() > 20


def test_a_row_is_the_same_whatever_stands_beside_it(store) -> None:
    features = EntityFeatures(store, "shops")
    shops, anchors = np.array([s for s, _ in ASKED]), np.array([d * DAY for _, d in ASKED], np.int32)
    together = features.compute(shops, anchors)
    alone = np.concatenate([features.compute(shops[i : i + 1], anchors[i : i + 1]) for i in range(len(shops))])
    assert np.array_equal(together, alone, equal_nan=True)
    assert np.array_equal(features.compute(shops[::-1], anchors[::-1]), together[::-1], equal_nan=True)


def test_rows_stamped_at_the_anchor_are_known_then(drawn, store) -> None:
    features = EntityFeatures(store, "customers")
    customer, time = int(drawn["customer"][0]), int(drawn["time"][0])
    before, at = features.compute(np.array([customer] * 2), np.array([time - 1, time], np.int32))
    place = {name: i for i, name in enumerate(features.names)}
    now = place["now(purchases.customer_id)"]
    assert before[now] == 0 and at[now] == 1
    count = place["count(purchases.customer_id, all)"]
    assert at[count] == before[count] + 1
