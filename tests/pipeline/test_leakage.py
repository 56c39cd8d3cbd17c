"""What happens after an anchor changes nothing that a model sees at the anchor."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from pyspark.sql import SparkSession

from gnnscale.batches import BatchBuilder, Examples, read_examples
from gnnscale.config import bind_query, build_settings, plan_query_anchors
from gnnscale.etl.graph.graph_stage import build_graph
from gnnscale.etl.labels.label_stage import build_labels
from gnnscale.etl.spark.session import open_session
from gnnscale.lake import Lake
from gnnscale.query.anchors import Split
from gnnscale.store import GraphStore
from tests.conftest import SPARK
from tests.shop import edited_shop, make_shop

TEST = pd.Timestamp("2024-02-22", tz="UTC")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    content = make_shop(tmp_path_factory.mktemp("leakage"), seed=11)
    # The graph serves any query, so that only its own setting keeps its statistics before the anchors of this one.
    fit_until = str((TEST - pd.Timedelta(days=7)).tz_localize(None))
    return {**content, "anchors": {"test": str(TEST.tz_localize(None))}, "graph": {"fit_until": fit_until}}


def build(session: SparkSession, content: dict[str, Any]) -> dict[str, Any]:
    """Graph and labels."""
    settings = build_settings(content)
    lake = Lake(settings.lake.uri)
    build_labels(session, lake, settings, build_graph(session, lake, settings))
    return content


def inputs_at(content: dict[str, Any], split: str) -> tuple[dict[str, torch.Tensor], Examples]:
    """Every tensor that the model gets for all entities at an anchor, and the labels there."""
    settings = build_settings(content)
    lake = Lake(settings.lake.uri)
    store = GraphStore.open(lake)
    manifest = store.manifest
    query = bind_query(settings, manifest)
    plan = plan_query_anchors(settings, query, manifest.time_ranges)
    builder = BatchBuilder(store, query, settings.sampling, settings.model.group_columns, settings.seed)
    anchor = getattr(plan, split) - manifest.origin
    everyone = Examples.unlabelled(torch.arange(store.node_count(query.entity.name)).numpy(), anchor)
    tensors = flatten(builder.build(everyone))
    for part in builder.all_targets(anchor):
        tensors |= flatten(part, "all_targets")
    return tensors, read_examples(lake, settings.query.name, Split(split), manifest.origin)


def flatten(value: Any, name: str = "") -> dict[str, torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return {name: value}
    if isinstance(value, tuple):
        items = [flatten(item, f"{name}/{i}") for i, item in enumerate(value) if not isinstance(item, str)]
    elif is_dataclass(value):
        items = [flatten(getattr(value, f.name), f"{name}/{f.name}") for f in fields(value)]
    else:
        items = []
    return {key: tensor for item in items for key, tensor in item.items()}


@pytest.fixture(scope="module")
def unchanged(shop: dict[str, Any]) -> dict[str, Any]:
    return build(open_session(SPARK, "gnnscale tests"), shop)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_shifting_all_events_after_the_anchor_changes_no_input(
    spark: SparkSession, shop: dict[str, Any], unchanged: dict[str, Any], tmp_path: Path, split: str
) -> None:
    anchor = TEST if split == "test" else TEST - pd.Timedelta(days=7)

    def shift_later(rows: pd.DataFrame) -> pd.DataFrame:
        late = rows["bought_at"] > anchor
        assert late.sum() > 20
        rows.loc[late, "bought_at"] += pd.Timedelta(days=3, hours=5)
        rows.loc[late, "amount"] = 1e6
        rows.loc[late, "quantity"] += 40
        rows.loc[late, "channel"] = "unheard of"
        return rows

    before, labels_before = inputs_at(unchanged, split)
    shifted = build(spark, edited_shop(shop, tmp_path, "purchases", shift_later))
    after, labels_after = inputs_at(shifted, split)
    assert before.keys() == after.keys()
    different = [name for name in before if not torch.equal(before[name], after[name])]
    assert different == []
    # The shift did something: what came true is another.
    assert (
        len(labels_before.targets) != len(labels_after.targets) or (labels_before.targets != labels_after.targets).any()
    )


def test_an_event_at_the_anchor_is_an_input_and_one_second_later_is_not(
    spark: SparkSession, shop: dict[str, Any], tmp_path: Path
) -> None:
    counts = {}
    for name, seconds in (("at", 0), ("after", 1)):
        folder = tmp_path / name
        folder.mkdir()

        def add_event(rows: pd.DataFrame, seconds: int = seconds) -> pd.DataFrame:
            extra = rows[rows["customer_id"] == rows["customer_id"].mode()[0]].head(1).copy()
            extra["bought_at"] = TEST + pd.Timedelta(seconds=seconds)
            return pd.concat([rows, extra])

        tensors, _ = inputs_at(build(spark, edited_shop(shop, folder, "purchases", add_event)), "test")
        counts[name] = (int((tensors["/event_age"] == 0).sum()), float(tensors["/event_age"].min()))
    assert counts["at"][0] == counts["after"][0] + 1
    assert counts["after"][1] >= 0
