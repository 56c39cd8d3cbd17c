"""Features of pairs equal a plain reading of the raw tables, and see nothing after their anchor; and candidates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gnnscale.arrays import Ragged
from gnnscale.features import Candidates, PairFeatures
from tests.entity_shop import OtherFuture

DAY = 86_400
HALF = 30


@pytest.fixture(scope="module")
def events(shop, store):
    """Node ids of customer and product, and seconds, of every purchase that names both."""
    customers, products = shop.ids("customers"), shop.ids("products")
    frame = shop.raw["purchases"]
    stamps = pd.to_datetime(frame["bought_at"], utc=True).astype("datetime64[us, UTC]").astype("int64")
    found = pd.DataFrame(
        {
            "customer": frame["customer_id"].map(customers),
            "product": frame["product_id"].map(products),
            "time": -(-stamps // 1_000_000) - store.manifest.origin,
            "quantity": frame["quantity"],
        }
    ).dropna(subset=["customer", "product"])
    return found.astype({"customer": int, "product": int})


@pytest.fixture(scope="module")
def asked(store, events):
    """Customers and an anchor within the times of the events, and every product for each."""
    count, products = store.node_count("customers"), store.node_count("products")
    anchor = int(events["time"].min()) // DAY * DAY + 40 * DAY
    each = Ragged.from_lists([range(products)] * count)
    return np.arange(count), np.full(count, anchor, np.int32), each


@pytest.fixture(scope="module")
def found(shop, store, asked):
    features = PairFeatures(store, shop.query, threads=2)
    entities, anchors, targets = asked
    table = pd.DataFrame(features.compute(entities, anchors, targets), columns=features.names)
    return table.assign(customer=targets.row_of_value, product=targets.values)


def days_of(age):
    return np.unique(age // DAY)


def test_what_an_entity_had_of_a_target(asked, events, found):
    anchor = int(asked[1][0])
    before = events[events["time"] <= anchor]
    table = found.set_index(["customer", "product"])
    for (customer, product), mine in before.groupby(["customer", "product"]):
        got = table.loc[(customer, product)]
        age = anchor - mine["time"].to_numpy()
        days = days_of(age)
        assert got["own_count(all)"] == len(mine)
        assert got["own_count(28d)"] == (age < 28 * DAY).sum()
        assert got["own_active_days(all)"] == len(days)
        assert got[f"own_count(half {HALF}d)"] == pytest.approx(np.exp2(-age / (HALF * DAY)).sum(), rel=1e-5)
        assert got["own_days_since_last"] == pytest.approx(age.min() / DAY, rel=1e-5)
        assert got["own_mean(quantity)"] == pytest.approx(mine["quantity"].mean(), rel=1e-3)
        gaps = np.diff(days)
        assert got["own_gap_mean"] == pytest.approx(gaps.mean() if len(gaps) else np.nan, nan_ok=True)
        everything = before[before["customer"] == customer]
        visits = days_of(anchor - everything["time"].to_numpy())
        assert got["own_days_per_visit"] == pytest.approx(len(days) / (visits <= days.max()).sum())
        assert got["own_visits_since_last"] == (visits <= days.min()).sum()
        assert got["entity_distinct"] == everything["product"].nunique()
        assert got["entity_days(all)"] == len(visits)
    never = table.drop(index=list(before.groupby(["customer", "product"]).groups))
    assert (never["own_count(all)"] == 0).all() and never["own_days_since_last"].isna().all()
    assert len(never) > 0


def test_what_an_entity_had_of_a_group(shop, store, asked, events, found):
    anchor = int(asked[1][0])
    column = [f.column for f in store.manifest.table("products").categorical].index("category")
    codes = np.asarray(store.features("products").categorical)[:, column]
    before = events[events["time"] <= anchor].assign(group=lambda frame: codes[frame["product"]])
    age = (anchor - before["time"]) / DAY
    recent = before[age < 28].groupby(["customer", "group"]).size()
    distinct = before.groupby(["customer", "group"])["product"].nunique()
    keys = pd.MultiIndex.from_arrays([found["customer"], codes[found["product"]]])
    assert (found["category_count(28d)"].to_numpy() == recent.reindex(keys).fillna(0).to_numpy()).all()
    known = found["category_distinct"].notna().to_numpy()
    assert (found["category_distinct"].to_numpy()[known] == distinct.reindex(keys).to_numpy()[known]).all()
    assert known.any() and not known.all()


def test_what_a_target_is_by_itself(asked, events, found):
    anchor = int(asked[1][0])
    before = events[events["time"] <= anchor].assign(day=lambda frame: (anchor - frame["time"]) // DAY)
    table = found.groupby("product").first()
    age = anchor - before["time"]
    recent = before[age < 7 * DAY].groupby("product").size()
    assert (table["target_count(7d)"] == recent.reindex(table.index).fillna(0)).all()
    per = before.groupby(["product", "customer"])["day"].agg(lambda days: len(set(days)))
    holders, again = per.groupby("product").size(), (per > 1).groupby("product").sum()
    assert (table["target_entities"].dropna() == holders.reindex(table.index).fillna(0)).all()
    rate = (again / holders).reindex(table.index)
    assert table["target_rebuy_rate"].tolist() == pytest.approx(rate.tolist(), nan_ok=True)
    gaps = [
        (product, gap)
        for (product, _), own in before.groupby(["product", "customer"])["day"]
        for gap in np.diff(np.unique(own))
    ]
    mean = pd.DataFrame(gaps, columns=["product", "gap"]).groupby("product")["gap"].mean().reindex(table.index)
    assert table["target_gap_mean"].tolist() == pytest.approx(mean.tolist(), nan_ok=True)


def test_the_future_changes_nothing(shop, store, asked):
    entities, anchors, targets = asked
    mine = PairFeatures(store, shop.query).compute(entities, anchors, targets)
    theirs = PairFeatures(OtherFuture(store, int(anchors[0])), shop.query).compute(entities, anchors, targets)
    assert np.array_equal(mine, theirs, equal_nan=True)


def test_anchors_may_differ_within_a_call(shop, store, asked):
    entities, anchors, targets = asked
    features = PairFeatures(store, shop.query)
    mixed = anchors - np.where(entities % 2, 7 * DAY, 0).astype(np.int32)
    found = features.compute(entities, mixed, targets)
    for anchor in np.unique(mixed):
        rows = np.flatnonzero(mixed == anchor)
        pairs = np.isin(targets.row_of_value, rows)
        alone = features.compute(entities[rows], mixed[rows], targets.take(rows))
        assert np.array_equal(found[pairs], alone, equal_nan=True)


def test_candidates_are_what_was_had_lately_and_what_is_popular_of_the_rest(shop, store, asked, events):
    entities, anchors, _ = asked
    anchor = int(anchors[0])
    features = PairFeatures(store, shop.query)
    rows = store.features("products")
    found, had = Candidates(features, rows, own=3, new=4).find(entities, anchor)
    before = events[events["time"] <= anchor]
    past = before.groupby("customer")["product"].agg(set)
    last = before.groupby(["customer", "product"])["time"].max()
    popular = set(before.loc[anchor - before["time"] < 28 * DAY, "product"])
    for customer in entities:
        own = found.row(customer)
        mine = past.get(customer, set())
        flags = had[found.indptr[customer] : found.indptr[customer + 1]]
        assert len(set(own)) == len(own)
        assert set(own[flags]) <= mine and not set(own[~flags]) & mine
        assert rows.is_valid_at(own, anchor).all()
        assert set(own[~flags]) <= popular and flags.sum() <= 3 and (~flags).sum() <= 4
        kept = [last[customer, product] for product in own[flags]]
        left = [last[customer, p] for p in mine - set(own) if rows.is_valid_at(np.array([p]), anchor)[0]]
        assert not left or min(kept) >= max(left)
