"""Labels are what each entity did in (anchor + start, anchor + end], read independently from the raw rows."""

import pandas as pd
import pyarrow as pa
import pytest

from gnnscale.config import build_settings
from gnnscale.etl.label_stage import build_labels, distinct_targets
from gnnscale.lake import Lake
from gnnscale.query import Window
from gnnscale.schema import DataError
from tests.etl.frames import frame_of

DAY = 86_400


def test_windows_are_open_at_their_start_and_closed_at_their_end(spark):
    facts = frame_of(
        spark,
        entity=[1, 1, 1, 1, 1, 2, 2, 2],
        target=pa.array([10, 11, 12, 12, 13, 20, None, 21], pa.int64()),
        time=pa.array([100, 101, 110, 105, 111, 109, 105, None], pa.int64()),
    )
    labels = distinct_targets(facts, Window(0, 10, 0), {100: "train"})
    assert {row["entity"]: row["targets"] for row in labels.collect()} == {1: [11, 12], 2: [20]}
    later = distinct_targets(facts, Window(5, 11, 0), {100: "train"})
    assert {row["entity"]: row["targets"] for row in later.collect()} == {1: [12, 13], 2: [20]}


def test_windows_that_overlap_each_get_the_event(spark):
    facts = frame_of(spark, entity=[1], target=[7], time=[15])
    labels = distinct_targets(facts, Window(0, 10, 0), {4: "train", 5: "train", 14: "train", 15: "test"})
    assert sorted((row["anchor_time"], row["split"]) for row in labels.collect()) == [(5, "train"), (14, "train")]


def expected_labels(shop) -> set[tuple]:
    """Straight from the raw rows, in exact microseconds."""
    raw = shop.raw["purchases"].dropna(subset=["product_id"])
    micros = raw["bought_at"].astype("datetime64[us, UTC]").astype("int64")
    customers, products = shop.ids("customers"), shop.ids("products")
    rows = set()
    for anchor, split in shop.plan.splits().items():
        start, end = anchor * 1_000_000, (anchor + 7 * DAY) * 1_000_000
        inside = raw[(micros > start) & (micros <= end)]
        for customer, group in inside.groupby("customer_id"):
            if customer in customers:
                rows.add(
                    (customers[customer], anchor, tuple(sorted({products[p] for p in group["product_id"]})), split)
                )
    return rows


def test_the_shops_labels_equal_a_reading_of_the_raw_rows(shop):
    labels = shop.lake.read("labels_next_week").to_pandas()
    found = {(r.entity, r.anchor_time, tuple(r.targets), r.split) for r in labels.itertuples()}
    assert len(found) == len(labels)
    assert found == expected_labels(shop)
    assert labels.groupby("split").size().to_dict() == shop.label_counts


def test_events_at_the_very_ends_of_a_window_are_among_them(shop):
    stamps = set(shop.raw["purchases"]["bought_at"])
    for anchor in (shop.plan.validation, shop.plan.test, shop.plan.test + 7 * DAY):
        assert pd.Timestamp(anchor, unit="s", tz="UTC") in stamps


def test_an_example_is_an_entity_and_anchor_once_in_order(shop):
    labels = shop.lake.read("labels_next_week").to_pandas()
    pairs = list(zip(labels["anchor_time"], labels["entity"], strict=True))
    assert pairs == sorted(set(pairs))
    assert all(len(targets) > 0 for targets in labels["targets"])


def test_a_split_without_examples_is_an_error_and_nothing_is_written(spark, shop, tmp_path):
    # Ten seconds a day, a minute after midnight: nobody buys then.
    content = {
        **shop.content,
        "query": {"name": "later", "text": shop.settings.query.text.replace("0, 7, days", "0, 10, seconds")},
        "anchors": {"test": "2024-02-28T00:01:00", "step_days": 1},
    }
    with pytest.raises(DataError, match=r"no customers row has a products row in a (train|validation|test) window"):
        build_labels(spark, shop.lake, build_settings(content), shop.manifest)
    assert not Lake(shop.lake.uri).exists("labels_later")
