"""Events two links away, on a graph of arrays: purchases of the customers of a shop, and what they name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gnnscale.features import EntityFeatures, entity_features, event_stretches
from gnnscale.features.class_features import ClassPath, class_features
from gnnscale.schema import EdgeType, FeatureManifest, Link
from gnnscale.store import ALWAYS, Adjacency, GraphStore
from tests.array_graph import write_graph
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
    features = {
        "purchases": (FeatureManifest("amount", "numerical", missing=0.2),),
        "products": (FeatureManifest("kind", "categorical", categories=KINDS),),
    }
    return write_graph(
        tmp_path_factory.mktemp("two_links"),
        {"shops": SHOPS, "customers": CUSTOMERS, "purchases": PURCHASES, "products": PRODUCTS},
        {
            ("customers", "shop_id", "shops"): (drawn["shop"], drawn["joined"]),
            ("purchases", "customer_id", "customers"): (drawn["customer"], drawn["time"]),
            ("purchases", "product_id", "products"): (drawn["product"], drawn["time"]),
        },
        features,
        {"purchases": drawn["time"].astype(np.int32)},
        {"purchases": drawn["amount"][:, None]},
        {"products": drawn["kind"][:, None]},
    )


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


BACK = "customer_id>purchases.customer_id"


def before(drawn, row: int, anchor: int) -> pd.DataFrame:
    """Purchases of the customer of a purchase that are stamped before an anchor, the latest first."""
    frame = pd.DataFrame({name: drawn[name] for name in ("customer", "product", "time", "amount")})
    frame = frame.assign(age=anchor - frame["time"], kind=drawn["kind"][frame["product"]])
    frame["amount"] = frame["amount"].where(frame["amount"] != 0)
    mine = frame[(frame["customer"] == drawn["customer"][row]) & (frame["age"] > 0)]
    return mine.sort_values("age", kind="stable")


@pytest.mark.parametrize("latest", [1_024, 5])
def test_what_else_names_the_row_that_a_row_names(drawn, store, latest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entity_features, "LATEST", latest)
    features = EntityFeatures(store, "purchases", threads=2)
    rows = np.tile(np.arange(0, PURCHASES, 9), 2)
    own = drawn["time"][rows].astype(np.int32)
    anchors = np.where(np.arange(len(rows)) < len(rows) // 2, own, own + 5 * DAY).astype(np.int32)
    table = pd.DataFrame(features.compute(rows, anchors), columns=features.names)
    most = 0
    for at, (row, anchor) in enumerate(zip(rows, anchors.astype(np.int64), strict=True)):
        got, every = table.loc[at], before(drawn, row, anchor)
        # Windows end a second before, and days are counted from there.
        mine = every.head(latest).assign(age=lambda frame: frame["age"] - 1)
        recent, most = mine[mine["age"] < 28 * DAY], max(most, len(every))
        assert got[f"count({BACK}, all)"] == len(mine)
        assert got[f"count({BACK}, 28d)"] == len(recent)
        assert got[f"days_since_last({BACK})"] == pytest.approx(mine["age"].min() / DAY, nan_ok=True)
        assert got[f"sum({BACK}, amount, 28d)"] == pytest.approx(recent["amount"].sum())
        assert got[f"mean({BACK}, amount, all)"] == pytest.approx(mine["amount"].mean(), nan_ok=True)
        assert got[f"distinct({BACK}, product_id, all)"] == mine["product"].nunique()
        # Of the product: also purchases at the same moment count only for others' products.
        bought = (drawn["product"] == drawn["product"][row]) & (drawn["time"] < anchor)
        assert got["count(product_id>purchases.product_id, all)"] == min(bought.sum(), latest)
    assert most > 20
    assert not any(name.startswith("now(") and ">" in name for name in features.names)
    # Bits do not depend on what stands beside a row.
    alone = np.concatenate([features.compute(rows[i : i + 1], anchors[i : i + 1]) for i in range(len(rows))])
    assert np.array_equal(table.to_numpy(np.float32), alone, equal_nan=True)


def test_what_two_links_from_the_row_that_a_row_names_have(drawn, store, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"count(shop_id>{PATH}, 28d)"
    features = EntityFeatures(store, "customers")
    customers, anchors = np.arange(CUSTOMERS).repeat(3), np.tile([20, 45, 80], CUSTOMERS).astype(np.int32) * DAY
    found = features.compute(customers, anchors)[:, features.names.index(name)]
    wanted = np.empty(len(customers))
    members = np.empty(len(customers))
    for at, (customer, anchor) in enumerate(zip(customers, anchors.astype(int), strict=True)):
        mine = seen(drawn, drawn["shop"][customer], anchor)
        # They are reached by the way that leads back, which ends a second before.
        wanted[at] = ((mine["age"] > 0) & (mine["age"] <= 28 * DAY)).sum()
        members[at] = ((drawn["shop"] == drawn["shop"][customer]) & (drawn["joined"] < anchor)).sum()
    # Who has not joined yet has no shop yet.
    joined = drawn["joined"][customers] <= anchors
    np.testing.assert_array_equal(found, np.where(joined, wanted, np.nan))
    assert wanted.max() > 20 and not joined.all()
    most = int(np.median(members))
    monkeypatch.setattr(entity_features, "LATEST", most)
    short = EntityFeatures(store, "customers").compute(customers, anchors)[:, features.names.index(name)]
    assert np.isnan(short).tolist() == ((members > most) | ~joined).tolist()
    few = (members <= most) & joined
    # Each customer's purchases are among the latest of a shop, if those are few enough.
    assert (short[few] <= np.minimum(wanted[few], most)).all() and few.any() and not few.all()


def test_a_way_over_two_keys_and_back_leaves_the_row_itself_out(drawn, store) -> None:
    name = f"customer_id>shop_id>{PATH}"
    features = EntityFeatures(store, "purchases")
    rows = np.arange(0, PURCHASES, 7)
    anchors = drawn["time"][rows].astype(np.int32)
    table = pd.DataFrame(features.compute(rows, anchors), columns=features.names)
    for at, (row, anchor) in enumerate(zip(rows, anchors.astype(int), strict=True)):
        mine = seen(drawn, drawn["shop"][drawn["customer"][row]], anchor)
        mine = mine[mine["age"] > 0]
        if drawn["joined"][drawn["customer"][row]] > anchor:
            # Before the customer has joined, nobody knows of the shop.
            assert np.isnan(table.loc[at, f"count({name}, all)"])
            continue
        assert table.loc[at, f"count({name}, all)"] == len(mine)
        assert table.loc[at, f"sum({name}, amount, all)"] == pytest.approx(mine["amount"].sum())
    assert table[f"count({name}, all)"].max() > 100


def test_ways_to_more_than_can_be_read_are_left_out(store) -> None:
    figures = tuple(replace(link, max_degree=3_000) for link in store.manifest.links)
    wide = GraphStore(replace(store.manifest, links=figures), store.folder)
    left = set(EntityFeatures(store, "purchases").names) - set(EntityFeatures(wide, "purchases").names)
    assert f"count(customer_id>shop_id>{PATH}, all)" in left and f"count({BACK}, all)" not in left


def test_columns_of_rows_that_named_rows_name(drawn, store) -> None:
    features = EntityFeatures(store, "purchases")
    assert "products.kind" in features.names and "shop_id>purchases.customer_id" not in features.names
    hidden = EntityFeatures(store, "purchases", {("purchases", "customer_id")})
    assert not any("customer" in name for name in hidden.names)
    assert not any("products" in name for name in EntityFeatures(store, "purchases", (), {"products"}).names)


def test_stretches_of_a_row_that_many_name_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stretches, "EVENTS", 100)
    rng = np.random.default_rng(0)
    sizes = np.array([1_000, 3, 0, 250])
    source = np.repeat(np.arange(4), sizes)
    times = np.concatenate([np.sort(rng.integers(0, 500, size)) for size in sizes])
    adjacency = csr(source, np.arange(len(source)), times, 4)
    nodes, anchors = rng.integers(0, 4, 300), rng.integers(-5, 505, 300).astype(np.int32)
    found = event_stretches.plan_stretches(adjacency, nodes, anchors, 20)
    length = found.stop - found.start
    assert (found.size == length).all() and length.max() <= 120 and len(length) > 10
    begin, end = adjacency.indptr[nodes], np.empty(300, int)
    for i in range(300):
        end[i] = begin[i] + ((source == nodes[i]) & (times <= anchors[i])).sum()
    assert (found.start[found.of] <= np.maximum(begin, end - 20)).all() and (found.stop[found.of] >= end).all()
    parts = list(found.parts())
    assert sorted(np.concatenate([rows for _, rows in parts]).tolist()) == list(range(300))
    assert [part.start for part, _ in parts[1:]] == [part.stop for part, _ in parts[:-1]]


class LateProducts(GraphStore):
    """Every other product has its row ten days after it was bought."""

    def adjacency(self, edge_type: EdgeType) -> Adjacency:
        edges = super().adjacency(edge_type)
        if edge_type.link.column != "product_id" or edge_type.reverse:
            return edges
        return replace(edges, times=np.where(edges.neighbors % 2, edges.times + 10 * DAY, edges.times).astype(np.int32))


def test_what_events_name_is_not_known_before_it_is_there(drawn, store) -> None:
    late = EntityFeatures(LateProducts(store.manifest, store.folder), "customers")
    own = "purchases.customer_id"
    customers, anchor = np.arange(CUSTOMERS), 60 * DAY
    table = pd.DataFrame(late.compute(customers, np.full(CUSTOMERS, anchor, np.int32)), columns=late.names)
    hidden = 0
    for customer in customers:
        mine = (drawn["customer"] == customer) & (drawn["time"] <= anchor)
        there = drawn["time"] + np.where(drawn["product"] % 2, 10 * DAY, 0) <= anchor
        hidden += (mine & ~there).sum()
        assert table.loc[customer, f"count({own}, all)"] == mine.sum()
        assert table.loc[customer, f"distinct({own}, product_id, all)"] == len(set(drawn["product"][mine & there]))
        weights = np.exp2(-(anchor - drawn["time"]) / (90 * DAY))
        for code, kind in enumerate(KINDS, start=1):
            of_kind = mine & there & (drawn["kind"][drawn["product"]] == code)
            share = weights[of_kind].sum() / weights[mine].sum() if mine.any() else np.nan
            assert table.loc[customer, f"share({own}, products.kind={kind})"] == pytest.approx(share, nan_ok=True)
    assert hidden > 20
    # The purchase itself does not know yet what kind of thing it is of.
    rows, times = np.arange(PURCHASES), drawn["time"].astype(np.int32)
    bought = EntityFeatures(LateProducts(store.manifest, store.folder), "purchases")
    kinds = bought.compute(rows, times)[:, bought.names.index("products.kind")]
    assert kinds.tolist() == np.where(drawn["product"] % 2, 0, drawn["kind"][drawn["product"]]).tolist()


def test_the_class_of_what_an_event_names_is_unknown_until_that_is_there(tmp_path: Path) -> None:
    kinds = FeatureManifest("kind", "categorical", categories=("a", "b"))
    times = np.array([5, 6, 7], np.int32) * DAY
    # The product of the last purchase comes on day nine: its edge begins then.
    named = {
        ("purchases", "customer_id", "customers"): (np.zeros(3, np.int64), times),
        ("purchases", "product_id", "products"): (np.array([0, 1, 1]), np.array([5, 9, 9]) * DAY),
    }
    codes = {"products": np.array([[1], [2]], np.int32)}
    sizes = {"customers": 1, "purchases": 3, "products": 2}
    graph = write_graph(tmp_path, sizes, named, {"products": (kinds,)}, {"purchases": times}, {}, codes)
    buyer, product = Link("purchases", "customer_id", "customers"), Link("purchases", "product_id", "products")
    path = ClassPath(buyer, "kind", product)
    found = class_features(graph, path, ("a", "b"), np.zeros(2, np.int64), np.array([8, 9], np.int32) * DAY)
    assert found[:, :, 1].tolist() == [[1, 0], [1, 2]]
    assert found[:, :, 3].tolist() == [[pytest.approx(1 / 3), 0], [pytest.approx(1 / 3), pytest.approx(2 / 3)]]


def test_names_are_told_apart_where_tables_are_named_twice(tmp_path: Path) -> None:
    """Matches of two teams, whose referees have chiefs among themselves."""
    draw = np.random.default_rng(0)
    times = np.sort(draw.integers(0, 9, 40)).astype(np.int32) * DAY
    always = np.full(5, ALWAYS)
    links = {
        ("matches", "home", "teams"): (draw.integers(0, 4, 40), times),
        ("matches", "away", "teams"): (draw.integers(0, 4, 40), times),
        ("matches", "referee", "referees"): (draw.integers(0, 5, 40), times),
        ("referees", "chief", "referees"): (np.array([0, 0, 0, 1, 1]), always),
    }
    columns = {name: (FeatureManifest("rank", "numerical"),) for name in ("teams", "referees")}
    ranks = {"teams": np.arange(4, dtype=np.float32)[:, None], "referees": np.arange(5, dtype=np.float32)[:, None]}
    sizes = {"matches": 40, "teams": 4, "referees": 5}
    graph = write_graph(tmp_path, sizes, links, columns, {"matches": times}, ranks, {})
    for table in sizes:
        features = EntityFeatures(graph, table)
        assert len(set(features.names)) == len(features.names)
        assert np.isfinite(features.compute(np.arange(4), np.full(4, 9 * DAY, np.int32))).any()
    names = EntityFeatures(graph, "referees").names
    assert {"referees.rank", "chief>referees.rank"} <= set(names)
    home, away = (f"mean(matches.referee, {key}>teams.rank, all)" for key in ("home", "away"))
    table = pd.DataFrame(EntityFeatures(graph, "referees").compute(np.arange(5), np.full(5, 9 * DAY)), columns=names)
    for referee in range(5):
        mine = links["matches", "referee", "referees"][0] == referee
        for name, key in ((home, "home"), (away, "away")):
            ranked = links["matches", key, "teams"][0][mine]
            assert table.loc[referee, name] == pytest.approx(ranked.mean())
