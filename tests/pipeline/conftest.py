"""One lake of real data for all tests that need one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = ["complete_journey", "anchors.train=3", "training.epochs=1", "training.warmup_steps=10"]


@pytest.fixture(scope="session")
def journey_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake that the recipe has filled; GNNSCALE_TEST_LAKE names one that is there already."""
    if given := os.environ.get("GNNSCALE_TEST_LAKE"):
        return Path(given)
    folder = tmp_path_factory.mktemp("complete_journey") / "lake"
    command = [sys.executable, "-m", "gnnscale.cli.main", "run", *RECIPE, f"lake.uri={folder}"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=800)
    assert run.returncode == 0, run.stderr
    (folder / "stdout.txt").write_text(run.stdout)
    return folder
