"""The recipe of sellers over a small marketplace: who is given what, and how sure that is."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pandas as pd
import pytest

from gnnscale.cli.main import main
from gnnscale.lake import Lake
from tests.seller_shop import LATEST, write_seller_shop
from tests.shop import SPARK_SECTION

pytestmark = pytest.mark.spark
SMALL = (
    *("anchors.test=2018-04-20", "anchors.train=3", "anchors.latest=2018-07-26", "anchors.step_days=60"),
    *("training.epochs=1", "training.warmup_steps=2", "training.batch_size=64", "training.negatives=64"),
    *("sampling.entity_hops=[{sellers.offers: 4},{products.bought_with: 2}]", "graph.fit_until=2018-01-20"),
    *("evaluation.resamples=20", "embedding.workers=1", "retrieval.calibration.least=0.4"),
    *(f"spark.{key}={json.dumps(value)}" for key, value in SPARK_SECTION.items()),
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("sellers")
    frames, sources = write_seller_shop(folder)
    overrides = [f"lake.uri={folder / 'lake'}", *sources, *SMALL]
    assert main(["run", "seller_products", *overrides]) == 0
    lake = Lake(str(folder / "lake"))
    lines = frames["order_lines"].assign(at=lambda rows: rows["shipping_limit_date"])
    return SimpleNamespace(lake=lake, overrides=overrides, lines=lines, products=frames["products"], folder=folder)


def test_rows_are_of_products_in_demand_of_the_sellers_category_that_it_does_not_sell(shop: SimpleNamespace) -> None:
    rows = shop.lake.read("predictions_further_products").to_pandas()
    assert len(rows) > 100 and rows["anchor_time"].iloc[0] == LATEST
    past = shop.lines[shop.lines["at"] <= LATEST]
    demand = past.groupby("product_id").size()
    assert (demand.reindex(rows["target"]).to_numpy() >= 5).all()
    sold = set(zip(past["seller_id"], past["product_id"], strict=True))
    assert not sold & set(zip(rows["entity"], rows["target"], strict=True))
    category = shop.products.set_index("product_id")["product_category_name"]
    usual = past.assign(category=past["product_id"].map(category)).groupby("seller_id")["category"]
    own = usual.agg(lambda values: values.mode().iloc[0])
    assert (category[rows["target"]].to_numpy() == own[rows["entity"]].to_numpy()).all()
    assert (rows["probability"] >= 0.4).all() and rows["probability"].nunique() > 1
    falling = rows.sort_values(["entity", "rank"]).groupby("entity")["probability"].diff().dropna()
    assert (falling <= 0).all()


def test_the_holdout_has_all_products_that_are_new_to_the_seller(shop: SimpleNamespace) -> None:
    rows = shop.lake.read("holdout_further_products").to_pandas()
    before = shop.lines[shop.lines["at"] <= pd.Timestamp("2018-04-20", tz="UTC")]
    sold = set(zip(before["seller_id"], before["product_id"], strict=True))
    assert not sold & set(zip(rows["entity"], rows["target"], strict=True))
    assert set(rows.groupby("entity").size()) == {100} and "probability" not in rows


def test_the_baselines_that_are_asked_for_stand_beside_it(shop: SimpleNamespace) -> None:
    record = shop.lake.read_record("evaluation_further_products")
    assert record["headline"] == "recall@100"
    found = {row["method"]: row["recall@100"] for row in record["rows"] if row["among"] == "all"}
    assert {"network", "matrix_factorization", "content", "nearest_content"} <= found.keys()
    # Categories and sizes say what a seller will sell, and few products have two sellers to learn from.
    assert found["model"] > found["matrix_factorization"]


def test_a_seller_is_told_of_its_own_rows_alone(shop: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    rows = shop.lake.read("predictions_further_products").to_pandas()
    entity = rows["entity"].iloc[0]
    assert main(["publish", "seller_products", *shop.overrides]) == 0
    capsys.readouterr()
    assert main(["lookup", "seller_products", *shop.overrides, "--key", entity, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    own = rows[rows["entity"] == entity].sort_values("rank")
    assert told["key"] == entity and told["row"]["target"] == own["target"].tolist()
