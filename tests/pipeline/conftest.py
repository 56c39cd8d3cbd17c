"""Real data for all tests that need it: one graph, and one lake that the whole recipe has filled."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.built_once import built_once

RECIPE = ["complete_journey", "anchors.train=2", "training.epochs=1", "training.warmup_steps=10"]


@pytest.fixture(scope="session")
def journey_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with the recipe's graph and nothing else; copy it, for the workers of a test session share it.

    GNNSCALE_TEST_LAKE names a lake that is there already.
    """
    if given := os.environ.get("GNNSCALE_TEST_LAKE"):
        return Path(given)
    return built_once(tmp_path_factory, "journey_graph", lambda folder: fill(folder, "graph"))


@pytest.fixture(scope="session")
def journey_lake(journey_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake that the recipe has filled; GNNSCALE_TEST_LAKE names one that is there already."""
    if given := os.environ.get("GNNSCALE_TEST_LAKE"):
        return Path(given)
    folder = tmp_path_factory.mktemp("complete_journey") / "lake"
    shutil.copytree(journey_graph, folder)
    fill(folder, "run")
    return folder


def fill(lake: Path, verb: str) -> None:
    """Let the recipe, or one stage of it, write to a lake."""
    command = [sys.executable, "-m", "gnnscale.cli.main", verb, *RECIPE, f"lake.uri={lake}"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=800)
    assert run.returncode == 0, run.stderr
