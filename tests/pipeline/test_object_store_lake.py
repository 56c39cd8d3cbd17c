"""The whole way with the lake in an S3-compatible store; the raw tables are files here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import gnnscale as gs
from gnnscale.cli.main import main
from gnnscale.lake import Lake
from tests.object_store import ObjectStore, object_store
from tests.shop import make_shop

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with object_store() as store:
        yield store


def test_tables_models_and_reports_are_in_the_store(
    store: ObjectStore, empty_store: Path, tracked: Path, monkeypatch: pytest.MonkeyPatch, spark: Any
) -> None:
    # MLflow goes by the environment, as boto3 does.
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", store.url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, store.options[name])
    content: dict[str, Any] = make_shop(tracked, seed=11)
    del content["recipe"]
    content["lake"] = {"uri": store.uri("shop"), "storage_options": store.options, "cache": str(tracked / "cache")}
    content["tracking"] = {
        "uri": f"sqlite:///{tracked / empty_store.name}",
        "experiment": "shop",
        "artifacts": f"{store.uri('shop')}/_runs",
    }
    recipe = tracked / "shop.yaml"
    recipe.write_text(yaml.safe_dump(content))
    assert main(["run", str(recipe)]) == 0
    lake = Lake(store.uri("shop"), store.options)
    predictions = lake.read("predictions_next_week").to_pandas()
    assert len(predictions) == 40 * 10 and lake.has_file("_reports/next_week.html")
    model = gs.load_model(lake.uri, "next_week", storage_options=store.options, cache=str(tracked / "cache"))
    asked = sorted(set(predictions["entity"]))[:5]
    expected = predictions[predictions["entity"].isin(asked)].sort_values(["entity", "rank"])
    answers = model.predict(asked).sort_values(["entity", "rank"])
    assert answers["target"].tolist() == expected["target"].tolist()
    run = lake.read_record("run_next_week")
    assert run is not None and lake.has_file(f"_runs/{run['run_id']}/artifacts/report.html")
    assert [path for path in lake.file_sizes("_runs") if path.endswith("MLmodel")]
    # Options that are called like secrets are in no record and no run.
    assert store.options["AWS_SECRET_ACCESS_KEY"] not in str(lake.read_record("trained_next_week"))
    assert {path.name for path in tracked.iterdir()} >= {"cache", "raw"} and not (tracked / "shop").exists()
