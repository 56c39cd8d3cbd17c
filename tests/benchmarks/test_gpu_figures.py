"""The script that gives all figures of a GPU runs without one and with few packages, and so does what it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gnnscale.sampling.backends.triton.neighbor_kernel import is_interpreted
from tests.benchmarks import gpu_ceilings, gpu_retrieval, gpu_sampler, gpu_train
from tests.benchmarks.bare_python import link_packages
from tests.benchmarks.power_law import TABLE, graph_in

HERE = Path(__file__).parents[2]
CPU = torch.device("cpu")
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")


def run_script(folder: Path, packages: tuple[str, ...], *tests: str) -> tuple[list[str], list[dict[str, Any]]]:
    """Lines and figures of the script in a Python that has some packages alone."""
    site = folder / "site"
    site.mkdir()
    assert "deltalake" not in link_packages(site, packages)
    # The interpreter itself: that of a virtual environment finds the environment's packages.
    python = os.path.realpath(sys.executable)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
    environment |= {"PYTHON": f"{python} -S", "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    command = ["bash", str(HERE / "tests/gpu/run.sh"), "--out", str(folder / "out"), "--tests", *tests]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (folder / "out" / "figures.jsonl").read_text().splitlines()
    return done.stdout.splitlines(), [json.loads(line) for line in lines]


@without_gpu
def test_the_script_runs_with_few_packages_and_says_what_it_skips(tmp_path: Path) -> None:
    needed = "torch", "triton", "torch-geometric", "pytest", "numba", "lazy_loader", "pydantic"
    lines, figures = run_script(tmp_path, needed, "test_placement.py", "test_large.py", "test_any_graph.py")
    for name in ("ceilings", "sampler", "train", "retrieval"):
        assert f"{name}: skipped: torch sees no CUDA device" in lines
    tests = {row["figure"]: row for row in figures if row["part"] == "tests"}
    assert tests["test_placement.py"]["passed"] > 9 and tests["test_any_graph.py"]["passed"] == 0
    assert any("needs hypothesis" in line for line in lines)
    assert any("needs a CUDA device" in line for line in tests["test_large.py"]["skipped"])
    assert [row["part"] for row in figures if row["figure"] == "outcome"][:2] == ["ceilings", "tests"]


@without_gpu
def test_the_script_ends_well_where_next_to_nothing_is_installed(tmp_path: Path) -> None:
    lines, figures = run_script(tmp_path, ("torch", "triton", "torch-geometric", "pytest"), "test_placement.py")
    lacking = "numba, lazy_loader, pydantic not installed"
    assert lines == [f"{name}: skipped: {lacking}" for name in ("ceilings", "tests", "sampler", "train", "retrieval")]
    assert len(figures) == 5


@pytest.mark.skipif(not is_interpreted(), reason="kernels run on a CUDA device alone")
def test_what_it_runs_gives_its_figures_on_the_cpu_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_sampler, "FANOUTS", [3, 2])
    monkeypatch.setattr(gpu_train, "FANOUTS", [3, 2, 1])
    monkeypatch.setattr(gpu_train, "WARM_UP", 1)
    store = graph_in(tmp_path, 400, 6_000, channels=128)
    assert graph_in(tmp_path, 400, 6_000, channels=128).edges_from(TABLE) == store.edges_from(TABLE)
    found = gpu_ceilings.measure(CPU, {"bytes": 1 << 12, "matrix": 16, "rows": 50, "reads": 20})
    found += gpu_sampler.measure(store, "uniform", "device", (4,), 4, CPU)
    found += [gpu_train.measure(store, "eager", 2, CPU, steps=1)]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == found and {row["figure"] for row in found} >= {"gpu_sampler", "gpu_train", "random_rows_pinned"}
    rates = [value for row in found for name, value in row.items() if name.endswith("_per_second")]
    assert len(rates) > 12 and min(rates) >= 0
    vectors = gpu_retrieval.clustered_vectors(300, CPU)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    row = gpu_retrieval.measure(vectors, CPU, asked=60)
    assert (row["items"], row["queries"], row["recall"]) == (300, 60, 1.0)
