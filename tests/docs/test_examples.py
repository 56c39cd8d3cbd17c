"""Every file of ``examples/`` runs to its end, one after the other in one Spark."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(file.stem for file in (ROOT / "examples").glob("*.py") if file.stem not in ("__init__", "shop"))
LAST = ("own_convolution", "spark_job")
"""The first of them has Ray's workers train; the second stops the session at its end, as a job does."""

PROGRAM = """
import contextlib, importlib, io, json, sys
import ray
from gnnscale.etl.spark.session import open_session
from gnnscale.pipeline import prepare_environment
from tests.conftest import spark_settings

prepare_environment()
open_session(spark_settings(), "examples")
told = {}
for name in sys.argv[2:]:
    if name == "own_convolution":
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        importlib.import_module(f"examples.{name}").main()
    told[name] = output.getvalue()
    with open(sys.argv[1], "w") as file:
        json.dump(told, file)
"""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each has printed."""
    file = tmp_path_factory.mktemp("examples") / "told.json"
    order = [*(name for name in NAMES if name not in LAST), *LAST]
    command = [sys.executable, "-c", PROGRAM, str(file), *order]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=2400)
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(file.read_text())


def test_frames_become_predictions(outputs):
    told = outputs["frames_to_predictions"]
    assert "-> customers, by name" in told
    assert "map@10" in told and "rank" in told


def test_a_convolution_of_ones_own_trains_in_rays_workers(outputs):
    assert "mae" in outputs["own_convolution"] and "boosted_trees" in outputs["own_convolution"]


def test_examples_of_ones_own_are_learned_from(outputs):
    assert "auroc" in outputs["own_examples"]


def test_a_network_of_pyg_learns_on_our_samples(outputs):
    errors = [float(line.rsplit(" ", 1)[1]) for line in outputs["pyg_on_our_sampler"].splitlines() if "error" in line]
    assert len(errors) == 3 and errors[-1] < errors[0]


def test_a_spark_job_labels(outputs):
    told = outputs["spark_job"]
    assert "train" in told and "validation" in told and "test" in told


def test_every_example_is_looked_at(outputs):
    looked_at = {"frames_to_predictions", "own_convolution", "own_examples", "pyg_on_our_sampler", "spark_job"}
    assert set(outputs) == looked_at == set(NAMES)
