"""On a standalone Spark cluster: the same graph as on one machine, and a lost executor costs time, not rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from deltalake import DeltaTable

from tests.cluster import Cluster, wait_until
from tests.conftest import SPARK, Shop
from tests.pipeline.squares_job import APP, ROWS

pytestmark = pytest.mark.slow


def graph_tables(lake: Path) -> list[str]:
    """Tables of ids and of edges."""
    return sorted(path.name for path in lake.iterdir() if path.name.startswith(("ids_", "edges_")))


def rows_in_order(table: Path) -> pa.Table:
    """Rows of a Delta table, file after file."""
    files = sorted(pa.table(DeltaTable(str(table)).get_add_actions(flatten=True))["path"].to_pylist())
    return pa.concat_tables([pq.read_table(table / file) for file in files])


def test_the_graph_is_the_one_that_one_machine_builds(
    cluster: Cluster, shop: Shop, shop_content: dict[str, Any], tmp_path: Path
) -> None:
    content = {**shop_content, "lake": {"uri": str(tmp_path / "lake")}}
    del content["recipe"]
    recipe = tmp_path / "shop.yaml"
    recipe.write_text(yaml.safe_dump(content))
    job = cluster.start("jobs/build_graph.py", str(recipe), conf=SPARK.conf)
    wait_until(lambda: len(cluster.executor_pids()) == 2, [job.process])
    job.wait()

    here, there = Path(shop.lake.uri), tmp_path / "lake"
    tables = graph_tables(here)
    assert graph_tables(there) == tables
    assert len(tables) == 3 + 2 * 4
    for table in tables:
        assert rows_in_order(there / table) == rows_in_order(here / table), table


def test_a_job_outlives_an_executor_that_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    marker, result = tmp_path / "marker", tmp_path / "result.json"
    job = cluster.start("tests/pipeline/squares_job.py", str(marker), str(result))
    wait_until(marker.exists, [job.process])
    waiting = int(marker.read_text())
    app = next(app for app in cluster.state()["activeapps"] if app["name"] == APP)
    before = cluster.executor_pids(app["id"])
    assert len(before) == 2
    killed = cluster.kill_executor(of=waiting)
    assert killed in before
    assert "Lost executor" in job.wait()
    rows, total, attempts = json.loads(result.read_text())
    assert (rows, total) == (ROWS, sum(i * i for i in range(ROWS)))
    assert attempts >= 1
    assert killed not in cluster.executor_pids()
