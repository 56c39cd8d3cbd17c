"""Lakes that several files share: of the real data, filled by the whole recipe, and of a shop with many purchases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gnnscale.config import build_settings
from gnnscale.etl.graph.graph_stage import build_graph
from gnnscale.etl.labels.label_stage import build_labels
from gnnscale.etl.spark.session import open_session
from gnnscale.lake import Lake
from tests.built_once import built_once
from tests.conftest import spark_settings
from tests.shop import make_shop

RECIPE = [
    "complete_journey",
    "anchors.train=2",
    "training.epochs=1",
    "training.max_examples=2000",
    "training.warmup_steps=10",
]


@pytest.fixture(scope="session")
def journey_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake that the recipe has filled; GNNSCALE_TEST_LAKE names one that is there already."""
    if given := os.environ.get("GNNSCALE_TEST_LAKE"):
        return Path(given)
    return built_once(tmp_path_factory, "journey_lake", fill)


@pytest.fixture(scope="session")
def busy_shop(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The recipe of a shop with graph and labels, and enough purchases to learn from."""

    def build(folder: Path) -> None:
        content = make_shop(folder, seed=2, purchases=1500)
        settings = build_settings(content)
        lake, spark = Lake(settings.lake.uri), open_session(spark_settings(), "gnnscale tests")
        build_labels(spark, lake, settings, build_graph(spark, lake, settings))
        (folder / "content.json").write_text(json.dumps(content))

    return json.loads((built_once(tmp_path_factory, "busy_shop", build) / "content.json").read_text())


def fill(lake: Path) -> None:
    """Let the recipe write to a lake."""
    command = [sys.executable, "-m", "gnnscale.cli.main", "run", *RECIPE, f"lake.uri={lake}"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=800)
    assert run.returncode == 0, run.stderr
