"""The model that MLflow keeps gives the lists that the retrieve stage writes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.pyfunc import PythonModelContext

from gnnscale.config import Settings, build_settings
from gnnscale.lake import Lake
from gnnscale.retrieval.registered_ranking import RankingModel
from gnnscale.schema import DataError
from gnnscale.training import model_path
from tests.conftest import Shop
from tests.embedded_shop import copy_shop, fill_predictions

DAY = 86_400


def end_products(shop: Shop, lake: Lake, retrieval: dict[str, Any]) -> Settings:
    """Let every other product end a day before the latest anchor, and give retrieval its section."""
    nodes = lake.read("nodes_products").sort_by("node_id")
    ends = [shop.plan.latest - DAY if node % 2 else None for node in range(nodes.num_rows)]
    lake.write("nodes_products", nodes.append_column("end_time", pa.array(ends, pa.int64())), mode="overwrite")
    tables = {**shop.content["tables"], "products": {**shop.content["tables"]["products"], "end_time": "until"}}
    return build_settings({**shop.content, "lake": {"uri": lake.uri}, "tables": tables, "retrieval": retrieval})


def kept_model(settings: Settings, lake: Lake) -> RankingModel:
    """As MLflow opens it."""
    model = RankingModel()
    path = Path(lake.uri) / model_path(settings.query.name)
    resolved = settings.model_dump(mode="json")
    model.load_context(PythonModelContext({"weights": str(path)}, {"settings": resolved}))
    return model


@pytest.mark.parametrize(
    "rules",
    [{}, {"filters": {"bought": False}, "diversity": {"column": "category", "cap": 2}}],
    ids=["there at the anchor", "not bought, and diverse"],
)
def test_lists_are_those_of_the_predictions(shop: Shop, tmp_path: Path, rules: dict[str, Any]) -> None:
    _, lake = copy_shop(shop, tmp_path)
    settings = end_products(shop, lake, rules)
    fill_predictions(shop, settings, lake)
    expected = lake.read("predictions_next_week").to_pandas().sort_values(["entity", "rank"])
    ended = {key for key, node in shop.ids("products").items() if node % 2}
    assert len(expected) and not ended & set(expected["target"])
    asked = expected["entity"].unique()
    found = kept_model(settings, lake).predict(None, pd.DataFrame({"entity": asked}))
    same = ["entity", "target", "rank"]
    pd.testing.assert_frame_equal(found[same].reset_index(drop=True), expected[same].reset_index(drop=True))
    np.testing.assert_allclose(found["score"], expected["score"], rtol=1e-4, atol=1e-5)
    assert set(found["anchor_time"]) == {pd.Timestamp(datetime.fromtimestamp(shop.plan.latest, UTC))}


def test_entities_come_in_the_order_asked_and_as_often(shop: Shop, tmp_path: Path) -> None:
    settings, lake = copy_shop(shop, tmp_path)
    keys = sorted(shop.ids("customers"))[:3]
    model = kept_model(settings, lake)
    asked = [keys[2], keys[0], keys[2]]
    found = model.predict(None, pd.DataFrame({"entity": asked}))
    lists = [found[i : i + 10] for i in range(0, len(found), 10)]
    assert [part["entity"].iloc[0] for part in lists] == asked
    assert lists[0]["target"].tolist() == lists[2]["target"].tolist()
    nobody = model.predict(None, pd.DataFrame({"entity": []}))
    assert len(nobody) == 0 and list(nobody) == list(found)
    with pytest.raises(DataError, match="'nobody' is no customer_id"):
        model.predict(None, pd.DataFrame({"entity": ["nobody"]}))
