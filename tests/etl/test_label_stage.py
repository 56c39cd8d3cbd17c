"""Labels are what each entity did in (anchor + start, anchor + end], read independently from the raw rows."""

import shutil
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gnnscale.config import build_settings
from gnnscale.etl.labels.label_stage import build_labels, describe_labels
from gnnscale.lake import Lake
from gnnscale.schema import DataError, QueryError

DAY = 86_400


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


def test_a_ranking_leaves_a_record_of_its_task(shop):
    record = shop.lake.read_record("task_next_week")
    labels = shop.lake.read("labels_next_week").to_pandas()
    assert (record["task"], record["classes"], record["frames"]) == ("temporal link prediction", [], 1)
    assert {split: figures["examples"] for split, figures in record["splits"].items()} == shop.label_counts
    train = labels[labels["split"] == "train"]
    assert record["splits"]["train"]["targets"] == pytest.approx(train["targets"].map(len).mean())
    assert "targets an example" in describe_labels(record)


@pytest.fixture(scope="module")
def copied(shop, tmp_path_factory) -> Lake:
    """The shop's lake, to write into."""
    folder = tmp_path_factory.mktemp("labels") / "lake"
    shutil.copytree(shop.lake.uri, folder)
    return Lake(folder)


def made(spark, shop, lake: Lake, target: str) -> tuple[dict[str, Any], pd.DataFrame]:
    """The record and the labels of a question about customers."""
    text = f"PREDICT {target} FOR EACH customers.customer_id"
    settings = build_settings({**shop.content, "query": {"name": "asked", "text": text}})
    counts = build_labels(spark, lake, settings, shop.manifest)
    record, labels = lake.read_record("task_asked"), lake.read("labels_asked").to_pandas()
    assert {split: figures["examples"] for split, figures in record["splits"].items()} == counts
    assert labels.groupby("split").size().to_dict() == counts
    pairs = list(zip(labels["anchor_time"], labels["entity"], strict=True))
    assert pairs == sorted(set(pairs))
    assert describe_labels(record).startswith(f"{counts['train']:,} train, {counts['validation']:,} validation")
    return record, labels


def test_a_condition_is_true_or_false_of_everyone(spark, shop, copied):
    record, labels = made(spark, shop, copied, "COUNT(purchases.*, 0, 7) > 2")
    assert record["task"] == "binary classification"
    assert len(labels) == len(shop.plan.splits()) * len(shop.raw["customers"])
    assert set(labels["target"]) == {0.0, 1.0} >= set(labels["past"])
    for split, figures in record["splits"].items():
        assert figures["rate"] == pytest.approx(labels[labels["split"] == split]["target"].mean())
    # Anchors a week apart: what happens next is what was last at the following anchor.
    following = labels.assign(anchor_time=labels["anchor_time"] + 7 * DAY)[["entity", "anchor_time", "target"]]
    both = labels.merge(following, on=["entity", "anchor_time"], suffixes=("", "_before"))
    assert len(both) == len(labels) - len(shop.raw["customers"])
    assert (both["past"] == both["target_before"]).all() and both["past"].nunique() == 2
    assert f"true for {record['splits']['train']['rate']:.1%}" in describe_labels(record)


def test_frames_of_a_forecast_follow_each_other(spark, shop, copied):
    record, labels = made(spark, shop, copied, "SUM(purchases.quantity, 0, 7) FORECAST 2 TIMEFRAMES")
    assert (record["task"], record["frames"]) == ("forecasting", 2)
    frames = np.stack(labels["target"].to_numpy())
    assert frames.shape == (len(labels), 2)
    by_anchor = {(r.entity, r.anchor_time): r for r in labels.itertuples()}
    checked = 0
    for row in labels.itertuples():
        after = by_anchor.get((row.entity, row.anchor_time + 14 * DAY))
        if after is not None:
            assert list(after.past) == [row.target[1]] * 2
            checked += 1
    assert checked > 40
    first = frames[(labels["split"] == "train").to_numpy(), 0]
    figures = record["splits"]["train"]
    assert figures["mean"] == pytest.approx(first.mean()) and figures["deviation"] == pytest.approx(first.std())
    assert figures["zero"] == pytest.approx((first == 0).mean())


def test_classes_are_those_of_the_training_split_the_most_frequent_first(spark, shop, copied):
    record, labels = made(spark, shop, copied, "LIST_DISTINCT(purchases.channel, 0, 7)")
    assert record["task"] == "multilabel classification"
    train = labels[labels["split"] == "train"]["target"].explode()
    counts = train.value_counts()
    assert set(record["classes"]) == set(counts.index)
    assert counts[record["classes"]].is_monotonic_decreasing
    # Kiosks come in the last days alone.
    assert "kiosk" in set(labels["target"].explode()) - set(record["classes"])
    assert all(list(targets) == sorted(set(targets)) for targets in labels["target"])


def test_a_question_without_a_window_splits_its_entities(spark, shop, copied):
    record, labels = made(spark, shop, copied, "customers.age")
    assert (record["task"], record["classes"]) == ("regression", [])
    known = shop.raw["customers"].dropna(subset=["age"]).set_index("customer_id")["age"]
    keys = {node: key for key, node in shop.ids("customers").items()}
    assert {keys[r.entity]: r.target for r in labels.itertuples()} == known.to_dict()
    assert labels["anchor_time"].nunique() == 1 and labels["past"].isna().all()
    assert labels["split"].value_counts()["train"] > 0.5 * len(labels)


def test_a_split_without_examples_is_an_error_and_nothing_is_written(spark, shop):
    # Ten seconds a day, a minute after midnight: nobody buys then.
    content = {
        **shop.content,
        "query": {"name": "later", "text": shop.settings.query.text.replace("0, 7, days", "0, 10, seconds")},
        "anchors": {"test": "2024-02-28T00:01:00", "step_days": 1},
    }
    with pytest.raises(DataError, match=r"no customers row has a target in a (train|validation|test) window: anchors"):
        build_labels(spark, shop.lake, build_settings(content), shop.manifest)
    assert not Lake(shop.lake.uri).exists("labels_later")
    assert shop.lake.read_record("task_later") is None


def test_conditions_that_let_nobody_through_are_named(spark, shop):
    text = "PREDICT COUNT(purchases.*, 0, 7) FOR EACH customers.customer_id WHERE customers.age > 1000"
    settings = build_settings({**shop.content, "query": {"name": "old", "text": text}})
    with pytest.raises(QueryError, match=r"WHERE lets no customers row through at any of the \d+ anchors") as caught:
        build_labels(spark, shop.lake, settings, shop.manifest)
    assert text[caught.value.position :].startswith("WHERE")


RECORDS = {
    "7 train, 2 validation, 1 test examples; true for 25.0% of the training examples": {"rate": 0.25},
    "7 train, 2 validation, 1 test examples; mean 1.235e+04, deviation 2, zero for 50.0%": {
        "mean": 12_345.6,
        "deviation": 2.0,
        "zero": 0.5,
    },
    "7 train, 2 validation, 1 test examples; 2.5 targets an example": {"targets": 2.5},
    "7 train, 2 validation, 1 test examples; 2 classes": {"distinct": 2},
}


@pytest.mark.parametrize("text", RECORDS)
def test_a_record_is_told_in_a_few_words(text):
    splits = {"train": {"examples": 7, **RECORDS[text]}, "validation": {"examples": 2}, "test": {"examples": 1}}
    assert describe_labels({"splits": splits, "classes": ["a", "b"] if "distinct" in RECORDS[text] else []}) == text


def test_what_was_had_before_the_anchor_is_no_target_of_what_is_new(spark, shop, copied):
    settings = build_settings({**shop.content, "query": {**shop.content["query"], "name": "new", "new_only": True}})
    build_labels(spark, copied, settings, shop.manifest)
    labels = copied.read("labels_new").to_pandas()
    raw = shop.raw["purchases"].dropna(subset=["product_id"])
    micros = raw["bought_at"].astype("datetime64[us, UTC]").astype("int64")
    customers, products = shop.ids("customers"), shop.ids("products")
    expected = set()
    for entity, anchor, targets, split in expected_labels(shop):
        before = raw[(micros <= anchor * 1_000_000) & (raw["customer_id"].map(customers) == entity)]
        left = tuple(p for p in targets if p not in set(before["product_id"].map(products)))
        expected |= {(entity, anchor, left, split)} if left else set()
    found = {(r.entity, r.anchor_time, tuple(r.targets), r.split) for r in labels.itertuples() if len(r.targets)}
    assert found == expected and len(found) < shop.lake.read("labels_next_week").num_rows
