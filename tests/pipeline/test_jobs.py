"""Each job runs its stage alone: Spark's under spark-submit, the others as a plain program on Ray with two workers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from deltalake import DeltaTable

from tests.shop import make_shop

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("jobs")
    content: dict[str, Any] = make_shop(folder, seed=7, purchases=1200)
    content["training"]["workers"] = 2
    # Relative, as the recipes have it: Ray's workers run in folders of their own.
    content["lake"] = {"uri": os.path.relpath(folder / "lake", ROOT)}
    del content["recipe"]
    path = folder / "shop.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def run(*command: str) -> str:
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def rows(recipe: Path, table: str) -> int:
    return DeltaTable(recipe.parent / "lake" / table).to_pyarrow_table().num_rows


def test_the_jobs_run_one_after_the_other(recipe: Path) -> None:
    spark_submit = str(Path(sys.executable).parent / "spark-submit")
    submit = [spark_submit, "--master", "local[2]", "--driver-memory", "1g", "--conf", "spark.ui.enabled=false"]
    run(*submit, "jobs/build_graph.py", str(recipe))
    assert rows(recipe, "nodes_customers") == 40
    assert not (recipe.parent / "lake" / "labels_next_week").exists()
    run(*submit, "jobs/build_labels.py", str(recipe))
    assert rows(recipe, "labels_next_week") > 50

    assert "validation MAP@10" in run(sys.executable, "jobs/train.py", str(recipe))
    assert (recipe.parent / "lake" / "_models" / "next_week" / "model.pt").is_file()

    run(sys.executable, "jobs/embed.py", str(recipe))
    assert rows(recipe, "embeddings_customers") == 2 * 40
    run(sys.executable, "jobs/retrieve.py", str(recipe))
    assert rows(recipe, "predictions_next_week") == 40 * 10
    assert rows(recipe, "holdout_next_week") == 40 * 10


def test_a_job_out_of_turn_says_what_is_missing(tmp_path: Path) -> None:
    content = make_shop(tmp_path, seed=8)
    del content["recipe"]
    (tmp_path / "shop.yaml").write_text(yaml.safe_dump(content))
    command = [sys.executable, "jobs/train.py", str(tmp_path / "shop.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=ROOT)
    assert done.returncode == 2
    assert "run the graph stage first" in done.stderr
    assert "Traceback" not in done.stderr
