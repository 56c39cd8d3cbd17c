"""Dagster materializes a recipe's stages in its own process; the last asset is the predictions, with their metrics."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gnnscale import orchestrators
from gnnscale.lake import Lake
from gnnscale.schema import ConfigError
from tests.conftest import Shop
from tests.pipeline.test_trees import begin_run

dagster = pytest.importorskip("dagster", reason="gnnscale[dagster] is not installed")

STAGES = ["graph", "labels", "train", "embed", "retrieve"]


def recipe(shop: Shop, folder: Path, **changed: Any) -> str:
    """The shop's recipe as a file, for the copy of its lake that the run of the trees begins with."""
    work = begin_run(shop, folder, **changed)
    content = work.settings.model_dump(mode="json", exclude_unset=True, exclude={"recipe"})
    path = folder / "the-shop.yaml"
    path.write_text(json.dumps(content))
    return str(path)


@pytest.fixture(autouse=True)
def quiet() -> None:
    logging.getLogger("dagster").setLevel(logging.CRITICAL)


def materialize(assets: list, instance: Any) -> Any:
    return dagster.materialize(assets, instance=instance, raise_on_error=False)


def test_stages_are_materialized_in_order_and_skipped_again(shop: Shop, tmp_path: Path) -> None:
    assets = orchestrators.stage_assets(recipe(shop, tmp_path))
    keys = [asset.key.path for asset in assets]
    assert keys == [["the_shop", name] for name in [*STAGES, "predictions_next_week"]]
    waits = {asset.key.path[1]: {key.path[1] for key in asset.asset_deps[asset.key]} for asset in assets}
    assert waits == dict(zip([*STAGES, "predictions_next_week"], [set(), *({name} for name in STAGES)], strict=True))
    with dagster.DagsterInstance.ephemeral() as instance:
        first = materialize(assets, instance)
        again = materialize(assets, instance)
    assert first.success and again.success
    made = [event.asset_key.path[1] for event in first.get_asset_materialization_events()]
    assert made == [*STAGES, "predictions_next_week"]
    told = {
        event.asset_key.path[1]: event.step_materialization_data.materialization.metadata
        for event in first.get_asset_materialization_events()
    }
    lake = Lake(tmp_path / "lake")
    last = {name: value.value for name, value in told["predictions_next_week"].items()}
    assert last["dagster/row_count"] == lake.read("predictions_next_week").num_rows > 0
    assert last["version"] == lake.version("predictions_next_week") == 0
    record = lake.read_record("evaluation_next_week")
    (row,) = [row for row in record["rows"] if (row["method"], row["among"]) == ("model", "all")]
    assert last["map@10"] == row["map@10"]
    assert Path(last["report"]).is_file()
    assert told["retrieve"]["tables"].value["predictions_next_week"] == 0
    # Nothing has changed, and nothing was written.
    assert lake.version("predictions_next_week") == 0
    assert again.asset_materializations_for_node("the_shop__train")[0].metadata == told["train"]


def test_a_fault_is_one_line_and_not_tried_again(shop: Shop, tmp_path: Path) -> None:
    path = recipe(shop, tmp_path)
    assets = orchestrators.stage_assets(path, ["tables.customers.source=nowhere.parquet"])
    with dagster.DagsterInstance.ephemeral() as instance:
        done = materialize(assets[:1], instance)
    (failed,) = done.get_step_failure_events()
    said = failed.step_failure_data.user_failure_data.description
    assert said.startswith("table 'customers': no file or folder at") and "\n" not in said
    with pytest.raises(ConfigError, match=r"unknown configuration key 'training\.epoch'"):
        orchestrators.stage_assets(path, ["training.epoch=1"])


def test_stages_that_are_submitted_are_told_from_the_lake(shop: Shop, tmp_path: Path) -> None:
    path = recipe(shop, tmp_path)
    asked: list[tuple[str, str, tuple[str, ...], str | None]] = []

    def submit(stage: str, recipe: str, overrides: Sequence[str], mode: str | None) -> None:
        asked.append((stage, recipe, tuple(overrides), mode))
        run_elsewhere([stage, recipe, *overrides])

    assets = orchestrators.stage_assets(path, ["seed=0"], submit=submit)
    with dagster.DagsterInstance.ephemeral() as instance:
        done = materialize(assets, instance)
    assert done.success
    assert asked == [(stage, path, ("seed=0",), None) for stage in [*STAGES, "evaluate"]]
    told = done.asset_materializations_for_node("the_shop__predictions_next_week")[0].metadata
    lake = Lake(tmp_path / "lake")
    assert told["dagster/row_count"].value == lake.read("predictions_next_week").num_rows > 0


def run_elsewhere(words: list[str]) -> None:
    """As a process of its own does."""
    command = [sys.executable, "-m", "gnnscale.cli.main", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
