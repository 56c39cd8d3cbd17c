"""Counts, sums and recency equal a plain reading of the raw tables, and see nothing after their anchor."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gnnscale.features import EntityFeatures
from gnnscale.features.class_features import CLASS_FEATURES, ClassPath, class_features
from gnnscale.schema import DataError, Link

DAY = 86_400
BUYER = Link("purchases", "customer_id", "customers")
PRODUCT = Link("purchases", "product_id", "products")
PERIODS = {"7d": 7 * DAY, "28d": 28 * DAY, "90d": 90 * DAY, "all": np.inf}


@pytest.fixture(scope="module")
def rows(shop):
    """(customer keys, node ids, anchors): every customer before any event, at midnights and at odd seconds."""
    ids = shop.ids("customers")
    keys = [key for key in sorted(ids) for _ in range(4)]
    opening = pd.Timestamp("2024-01-01", tz="UTC").timestamp()
    anchors = np.tile([-1, 7 * DAY, 29 * DAY + 5, 58 * DAY], len(ids)) + int(opening) - shop.manifest.origin
    return keys, np.array([ids[key] for key in keys]), anchors.astype(np.int32)


def events_before(shop, table, time, key, anchor):
    """Raw rows of one customer up to an anchor, and their ages in seconds; times are rounded up, as the graph's are."""
    frame = shop.raw[table]
    stamps = -(-pd.to_datetime(time, utc=True).astype("datetime64[us, UTC]").astype("int64") // 1_000_000)
    age = shop.manifest.origin + int(anchor) - stamps
    mine = (frame["customer_id"] == key) & (age >= 0)
    return frame[mine], age[mine]


def test_counts_recency_and_sums_equal_the_raw_rows(shop, store, rows):
    features = EntityFeatures(store, "customers")
    found = pd.DataFrame(features.compute(*rows[1:]), columns=features.names)
    purchases = shop.raw["purchases"]
    for row, (key, _, anchor) in enumerate(zip(*rows, strict=True)):
        mine, age = events_before(shop, "purchases", purchases["bought_at"], key, anchor)
        got = found.loc[row]
        for period, seconds in PERIODS.items():
            inside = mine[age < seconds]
            assert got[f"count(purchases.customer_id, {period})"] == len(inside)
            assert got[f"active_days(purchases.customer_id, {period})"] == (age[age < seconds] // DAY).nunique()
            for column in ("quantity", "amount"):
                wanted = inside[column].sum()
                assert got[f"sum(purchases.customer_id, {column}, {period})"] == pytest.approx(
                    wanted, rel=1e-4, abs=1e-3
                )
        for name, wanted in (("last", age.min()), ("first", age.max())):
            assert got[f"days_since_{name}(purchases.customer_id)"] == pytest.approx(wanted / DAY, nan_ok=True)
    assert found["count(purchases.customer_id, 7d)"].max() > 2


def test_events_that_take_their_time_from_a_parent_are_counted_from_then_on(shop, store, rows):
    features = EntityFeatures(store, "customers")
    found = pd.DataFrame(features.compute(*rows[1:]), columns=features.names)
    starts = shop.raw["mailings"]["campaign_id"].map(shop.raw["campaigns"].set_index("campaign_id")["starts"])
    for row, (key, _, anchor) in enumerate(zip(*rows, strict=True)):
        mine, _ = events_before(shop, "mailings", starts, key, anchor)
        assert found.loc[row, "count(mailings.customer_id, all)"] == len(mine)
    assert found["count(mailings.customer_id, all)"].nunique() > 2


def test_own_columns_and_ages(shop, store):
    features = EntityFeatures(store, "customers")
    nodes = np.array([3, 0, 3])
    found = pd.DataFrame(features.compute(nodes, np.zeros(3, np.int32)), columns=features.names)
    table = shop.nodes("customers")
    # Encoded, but null where the row has none.
    wanted = table["num_age"].where(table["raw_age"].notna())[nodes]
    assert wanted.isna().any() and wanted.notna().any()
    assert found["customers.age"].tolist() == pytest.approx(wanted.tolist(), nan_ok=True)
    assert found["customers.region"].tolist() == table["cat_region"][nodes].tolist()
    assert "age(customers)" not in features.names
    campaigns = EntityFeatures(store, "campaigns")
    born = store.features("campaigns").times
    ages = campaigns.compute(np.arange(len(born)), born + 3 * DAY)[:, campaigns.names.index("age(campaigns)")]
    assert ages.tolist() == [3.0] * len(born)


def test_what_is_hidden_is_not_a_feature(store):
    hidden = EntityFeatures(store, "customers", {("customers", "age"), ("purchases", "amount")}, {"mailings"})
    names = set(EntityFeatures(store, "customers").names) - set(hidden.names)
    gone = {name for name in names if "mailings" not in name}
    assert "customers.age" in gone
    assert {f"sum(purchases.customer_id, amount, {period})" for period in PERIODS} < gone
    assert all("amount" in name for name in gone - {"customers.age"})
    assert not any("mailings" in name or "amount" in name for name in hidden.names)
    assert hidden.compute(np.array([0, 1]), np.zeros(2, np.int32)).shape == (2, len(hidden.names))


@pytest.mark.parametrize(
    ("path", "column"),
    [(ClassPath(BUYER, "channel"), "channel"), (ClassPath(BUYER, "category", PRODUCT), "category")],
)
def test_class_features_equal_the_raw_rows(shop, store, rows, path, column):
    purchases = shop.raw["purchases"].merge(shop.raw["products"], on="product_id", how="left")
    purchases.index = shop.raw["purchases"].index
    classes = ["store", "web", "app", "never"] if column == "channel" else ["home", "food", "never"]
    found = class_features(store, path, classes, *rows[1:])
    assert found.shape == (len(rows[0]), len(classes), len(CLASS_FEATURES))
    for row, (key, _, anchor) in enumerate(zip(*rows, strict=True)):
        mine, age = events_before(shop, "purchases", purchases["bought_at"], key, anchor)
        labels = purchases.loc[mine.index, column]
        for c, name in enumerate(classes):
            ages = age[labels == name]
            wanted = [(ages < 28 * DAY).sum(), len(ages), ages.min() / DAY, len(ages) / len(mine) if len(mine) else 0]
            assert found[row, c].tolist() == pytest.approx(wanted, nan_ok=True)
    assert found[:, 0, 1].max() > 2


def test_a_class_that_is_no_category_is_an_error(store):
    nodes, anchors = np.array([0]), np.zeros(1, np.int32)
    with pytest.raises(DataError, match=r"purchases.chanel is not a categorical feature. Did you mean 'channel'"):
        class_features(store, ClassPath(BUYER, "chanel"), ["web"], nodes, anchors)
    with pytest.raises(DataError, match="does not leave purchases"):
        ClassPath(BUYER, "kind", Link("mailings", "campaign_id", "campaigns"))
