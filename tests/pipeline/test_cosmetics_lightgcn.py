"""The recipe of LightGCN on samples over a small log of a shop, from its files to lists and their comparison."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from gnnscale.cli.main import main
from gnnscale.collaborative import ShopLogSettings, write_shop_log
from gnnscale.lake import Lake
from tests.shop import SPARK_SECTION

pytestmark = pytest.mark.spark

SMALL = (
    *("anchors.train=1", "training.workers=1", "training.gpu=no", "training.batch_size=256", "training.negatives=64"),
    *("training.epochs=3", "model.lightgcn.dims=16", "model.lightgcn.neighbors=8", "embedding.workers=1"),
    *("evaluation.resamples=20", "evaluation.baselines=[popularity]", "tracking.uri=null"),
    *(f"spark.{key}={json.dumps(value)}" for key, value in SPARK_SECTION.items()),
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("log")
    write_shop_log(folder / "raw", ShopLogSettings(users=400, products=60, events=8_000))
    overrides = [f"lake.uri={folder / 'lake'}", f"tables.events.source={folder / 'raw'}", *SMALL]
    assert main(["run", "cosmetics_lightgcn", *overrides]) == 0
    return SimpleNamespace(lake=Lake(str(folder / "lake")))


def test_every_user_has_a_list(shop: SimpleNamespace) -> None:
    rows = shop.lake.read("predictions_purchases").to_pandas()
    assert (rows.groupby("entity").size() == 20).all() and np.isfinite(rows["score"]).all()
    lists = rows.sort_values("rank").groupby("entity")["target"].agg(tuple)
    assert len(lists) > 350 and lists.nunique() > 100


def test_it_is_judged_beside_popularity_and_better(shop: SimpleNamespace) -> None:
    found = shop.lake.read_record("evaluation_purchases")
    assert found["against"]["popularity"]["low"] > 0 and "network" in found["blend"]
    page = shop.lake.read_bytes("_reports/purchases.html").decode()
    assert "Popularity" in page and "Network alone" in page
