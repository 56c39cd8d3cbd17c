"""Examples that a person gives stand as those of the label stage would; what does not fit is told."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gnnscale.config import Settings, build_settings
from gnnscale.etl import holdout_anchors, write_examples
from gnnscale.lake import Lake
from gnnscale.schema import DataError
from tests.conftest import Shop

RECORDS = {
    "PREDICT COUNT(purchases.*, 0, 7) > 2": ("binary classification", True),
    "PREDICT FIRST(purchases.channel, 0, 7)": ("multiclass classification", "web"),
    "PREDICT LIST_DISTINCT(purchases.channel, 0, 7) CLASSIFY": ("multilabel classification", ["web", "app"]),
    "PREDICT SUM(purchases.amount, 0, 7) FORECAST 2 TIMEFRAMES": ("forecasting", [1.0, 2.5]),
}


@pytest.fixture
def lake(shop: Shop, tmp_path: Path) -> Lake:
    shutil.copytree(shop.lake.uri, tmp_path / "lake")
    return Lake(tmp_path / "lake")


def settings_of(shop: Shop, lake: Lake, rows: pd.DataFrame, query: str | None = None) -> Settings:
    path = Path(lake.uri).parent / "own.parquet"
    rows.to_parquet(path)
    named = {"name": "own", "text": f"{query} FOR EACH customers.customer_id"} if query else shop.content["query"]
    return build_settings({**shop.content, "lake": {"uri": lake.uri}, "query": {**named, "examples": str(path)}})


def by_key(shop: Shop, labels: pd.DataFrame) -> pd.DataFrame:
    """Labels of the label stage, as a person would give them."""
    customers, products = ({node: key for key, node in shop.ids(t).items()} for t in ("customers", "products"))
    return pd.DataFrame(
        {
            "customer_id": labels["entity"].map(customers),
            "anchor_time": pd.to_datetime(labels["anchor_time"], unit="s", utc=True),
            "targets": [[products[node] for node in reversed(targets)] for targets in labels["targets"]],
        }
    )


def test_rankings_by_key_are_the_labels_of_the_query_again(shop: Shop, lake: Lake) -> None:
    expected = lake.read("labels_next_week").to_pandas()
    before = lake.read_record("task_next_week")
    rows = by_key(shop, expected).sample(frac=1, random_state=0)
    settings = settings_of(shop, lake, rows)
    assert holdout_anchors(lake, settings.query.examples or "") == (pd.Timestamp(shop.plan.test, unit="s", tz="UTC"),)
    counts = write_examples(lake, settings, shop.manifest)
    assert counts == shop.label_counts
    found = lake.read("labels_next_week").to_pandas()
    order = ["anchor_time", "entity"]
    found, expected = (f.sort_values(order).reset_index(drop=True) for f in (found, expected))
    assert found[[*order, "split"]].equals(expected[[*order, "split"]])
    assert all(np.array_equal(a, b) for a, b in zip(found["targets"], expected["targets"], strict=True))
    assert (
        lake.read("labels_next_week").schema.field("entity").type
        == shop.lake.read("labels_next_week").schema.field("entity").type
    )
    assert before == lake.read_record("task_next_week")


def test_keys_that_the_graph_has_not_are_left_out_and_counted(shop: Shop, lake: Lake, caplog: Any) -> None:
    rows = by_key(shop, lake.read("labels_next_week").to_pandas())
    rows.at[0, "customer_id"] = "stranger"
    rows.at[1, "targets"] = [*rows.at[1, "targets"], "p999"]
    rows.at[2, "targets"] = ["p999"]
    with caplog.at_level(logging.WARNING, logger="gnnscale"):
        counts = write_examples(lake, settings_of(shop, lake, rows), shop.manifest)
    messages = " ".join(record.getMessage() for record in caplog.records)
    assert (
        f"1 of {len(rows):,} rows name no customer_id" in messages
        and "2 of" in messages
        and "no product_id" in messages
    )
    assert sum(counts.values()) == len(rows) - 2


@pytest.mark.parametrize("text", RECORDS)
def test_answers_of_every_task_have_the_label_stage_s_form(shop: Shop, lake: Lake, text: str) -> None:
    task, target = RECORDS[text]
    keys = sorted(shop.ids("customers"))[:4]
    times = ["2024-02-01T00:00:00Z", "2024-02-08T00:00:00Z", "2024-02-15T01:00:00+01:00"]
    rows = pd.DataFrame(
        {
            "entity": keys * 3,
            "anchor_time": np.repeat(times, 4),
            "target": pd.Series([target] * 12, dtype=object if isinstance(target, list | str) else None),
        }
    )
    counts = write_examples(lake, settings_of(shop, lake, rows, text), shop.manifest)
    assert counts == {"train": 4, "validation": 4, "test": 4}
    record = lake.read_record("task_own")
    assert record is not None and record["task"] == task
    assert record["classes"] == (sorted([target] if isinstance(target, str) else target) if record["classes"] else [])
    found = lake.read("labels_own")
    assert found.column_names[:2] == ["entity", "anchor_time"] and found["past"].null_count == 12
    assert found["target"].to_pylist() == [target] * 12


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "no target": ({"target": None}, "there is no column target"),
    "no anchor": ({"anchor_time": None}, "there is no column anchor_time"),
    "no entity": ({"entity": None}, "there is no column customer_id or entity"),
    "text for a number": ({"target": "many"}, "column target is"),
    "an unknown split": ({"split": "tests"}, "split is 'tests'; allowed are train, validation, test"),
    "no test": ({"split": "train"}, "none are for the validation split"),
    "one time": ({"anchor_time": "2024-02-01"}, "1 anchor times are too few"),
    "no time": ({"anchor_time": "soon"}, "column anchor_time is"),
    "twice": ({"entity": "c001"}, "stands twice"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_fit_is_told(shop: Shop, lake: Lake, fault: str) -> None:
    change, says = FAULTS[fault]
    keys = sorted(shop.ids("customers"))[:4]
    rows = pd.DataFrame(
        {"entity": keys * 3, "anchor_time": np.repeat([1_706_000_000, 1_707_000_000, 1_708_000_000], 4), "target": 1.0}
    )
    for name, value in change.items():
        rows = rows.drop(columns=name) if value is None else rows.assign(**{name: value})
    with pytest.raises(DataError, match=says):
        write_examples(lake, settings_of(shop, lake, rows, "PREDICT COUNT(purchases.*, 0, 7)"), shop.manifest)


def test_rankings_are_tested_at_the_configured_anchor_alone(shop: Shop, lake: Lake) -> None:
    rows = by_key(shop, lake.read("labels_next_week").to_pandas())
    rows["anchor_time"] += pd.Timedelta(hours=1)
    with pytest.raises(DataError, match=r"anchors\.test, which is"):
        write_examples(lake, settings_of(shop, lake, rows), shop.manifest)
