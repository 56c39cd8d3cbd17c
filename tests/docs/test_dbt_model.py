"""The dbt model of the docs joins predictions to their tables, whichever rows those have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from tests.conftest import Shop
from tests.docs.pages import blocks
from tests.embedded_shop import copy_shop, fill_predictions


def test_it_has_five_products_a_customer_and_what_is_known_of_both(spark: Any, shop: Shop, tmp_path: Path) -> None:
    (model,) = blocks("sql")
    settings, lake = copy_shop(shop, tmp_path)
    fill_predictions(shop, settings, lake)
    predictions = lake.read("predictions_next_week")
    tables = {"gnnscale_predictions_next_week": predictions.to_pandas()}
    tables |= {f"shop_{name}": shop.raw[name] for name in ("customers", "products")}
    for name, frame in tables.items():
        kept = [column for column in frame.columns if column not in ("tags", "vector")]
        spark.createDataFrame(frame[kept]).createOrReplaceTempView(name)
    known: dict[str, Any] = {"config": lambda **_: "", "source": lambda schema, table: f"{schema}_{table}"}
    text = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(model.content).render(known)
    found = spark.sql(text).toPandas()

    expected = predictions.to_pandas().query("rank <= 5")
    pairs = found.rename(columns={"customer_id": "entity", "place": "rank"})[["entity", "rank", "score"]]
    order = ["entity", "rank"]
    pd.testing.assert_frame_equal(
        pairs.sort_values(order, ignore_index=True),
        expected[["entity", "rank", "score"]].sort_values(order, ignore_index=True),
        check_dtype=False,
    )
    # A product without a row of its own is offered, too, and nothing is known of it.
    rowless = set(expected["target"]) - set(shop.raw["products"]["product_id"])
    assert found["product_id"].isna().sum() == expected["target"].isin(rowless).sum()
    regions = shop.raw["customers"].set_index("customer_id")["region"]
    assert found["region"].dropna().tolist() == regions.loc[found["customer_id"]].dropna().tolist()
