"""On a standalone Spark cluster: the graph and shards of one machine, also when an executor is lost or a node a hub."""

from __future__ import annotations

import json
import logging
import re
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from deltalake import DeltaTable
from ray.util import get_node_ip_address
from rich.console import Console

from gnnscale.batches.blocks.shard_reader import ShardReader
from gnnscale.config import build_settings
from gnnscale.etl.subgraph_shards.sample_shards import build_shards
from gnnscale.lake import Lake
from gnnscale.lake.stages import write_stage
from gnnscale.pipeline import Pipeline, PipelineContext
from gnnscale.pipeline.stages.shard_stage import plan_shards
from gnnscale.sampling import NeighborSampler
from gnnscale.schema import GraphManifest
from gnnscale.store import GraphStore
from gnnscale.training import model_path
from tests.cluster import Cluster, wait_until
from tests.conftest import SPARK, Shop
from tests.pipeline.event_log import event_log_conf, of_kind, read_events, stage_tasks
from tests.pipeline.squares_job import APP, ROWS
from tests.stage_records import record_stages

pytestmark = pytest.mark.slow

log = logging.getLogger(__name__)

QUERY = "next_week"


def graph_tables(lake: Path) -> list[str]:
    """Tables of ids and of edges."""
    return sorted(path.name for path in lake.iterdir() if path.name.startswith(("ids_", "edges_")))


def rows_in_order(table: Path) -> pa.Table:
    """Rows of a Delta table, file after file."""
    files = sorted(pa.table(DeltaTable(str(table)).get_add_actions(flatten=True))["path"].to_pylist())
    return pa.concat_tables([pq.read_table(table / file) for file in files])


def test_graph_and_labels_are_those_that_one_machine_builds(
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
    cluster.submit("jobs/build_labels.py", str(recipe), conf=SPARK.conf)
    assert rows_in_order(there / f"labels_{QUERY}") == rows_in_order(here / f"labels_{QUERY}")


def test_a_ray_on_its_executors_trains_as_this_process_does(
    cluster: Cluster, shop: Shop, shop_content: dict[str, Any], tmp_path: Path
) -> None:
    found = {}
    for name, workers in (("executors", 2), ("alone", 1)):
        folder = tmp_path / name
        content = {**shop_content, "training": {**shop_content["training"], "workers": workers}}
        content = write_recipe(content, copy_lake(shop, folder / "lake"), folder, shop_content["sampling"]["strategy"])
        record_stages(build_settings(content))
        if name == "executors":
            # Ray takes the loopback address for that of its node, where its head does not listen.
            conf = {**SPARK.conf, "spark.driver.host": get_node_ip_address()}
            conf["spark.driver.bindAddress"] = conf["spark.driver.host"]
            recipe = str(folder / "shop.yaml")
            waits = {
                "RAY_ON_SPARK_BACKGROUND_JOB_STARTUP_WAIT": "5",
                "RAY_ON_SPARK_RAY_WORKER_NODE_STARTUP_INTERVAL": "1",
            }
            job = cluster.submit("tests/pipeline/ray_on_spark_job.py", recipe, conf=conf, env=waits, seconds=400)
            told = json.loads(next(line for line in job.splitlines() if line.startswith("{")))
            # The head takes no work, and each executor has a core.
            assert told == {"nodes": [0, 1, 1], "rows": 7, "left": []}
        else:
            with Pipeline(PipelineContext(build_settings(content), Console(quiet=True))) as pipeline:
                pipeline.run(["train"])
        found[name] = torch.load(folder / "lake" / model_path(QUERY))["weights"]
    torch.testing.assert_close(found["executors"], found["alone"], rtol=2e-5, atol=2e-5)


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


def copy_lake(shop: Shop, folder: Path, copies: int = 1) -> Lake:
    """The shop's lake without shards; each of its examples so many times, at anchors of a second later each time."""
    shutil.copytree(shop.lake.uri, folder, ignore=shutil.ignore_patterns("_store", "shards_*"))
    lake = Lake(folder)
    if copies > 1:
        labels = lake.read(f"labels_{QUERY}")
        later = np.repeat(np.arange(copies), len(labels))
        many = pa.concat_tables([labels] * copies)
        anchors = pa.array(many["anchor_time"].to_numpy() + later)
        place = many.column_names.index("anchor_time")
        lake.write(f"labels_{QUERY}", many.set_column(place, "anchor_time", anchors.cast(many["anchor_time"].type)))
    # The command line goes on only from stages that it finds recorded.
    write_stage(lake, "graph", "copied", time.monotonic(), "")
    write_stage(lake, f"{QUERY}_labels", "copied", time.monotonic(), "", [f"labels_{QUERY}"], "copied")
    return lake


def twin(lake: Lake, folder: Path) -> Lake:
    """The same lake elsewhere, without its shards; its examples lie in the same files."""
    shutil.copytree(lake.uri, folder, ignore=shutil.ignore_patterns("_store", "shards_*"))
    return Lake(folder)


def write_recipe(content: dict[str, Any], lake: Lake, folder: Path, strategy: str) -> dict[str, Any]:
    """The shop's recipe for that lake, also as ``shop.yaml``."""
    sampling = {**content["sampling"], "strategy": strategy}
    content = {**content, "lake": {"uri": lake.uri}, "sampling": sampling, "shards": {"file_mb": 8}}
    (folder / "shop.yaml").write_text(yaml.safe_dump({k: v for k, v in content.items() if k != "recipe"}))
    return content


def shards_here(spark: Any, shop: Shop, content: dict[str, Any], copy: Lake) -> pa.Table:
    """Rows of the shards that this machine builds from a copy of the lake."""
    settings = build_settings({**content, "lake": {"uri": copy.uri}})
    build_shards(spark, copy, shop.manifest, plan_shards(settings, shop.query))
    return rows_in_order(Path(copy.table_uri(f"shards_{QUERY}")))


def assert_sampled_in_memory(lake: Lake, content: dict[str, Any], shop: Shop, cache: Path) -> None:
    """The lake's shards are what the sampler of training gives."""
    settings = build_settings(content)
    plan = plan_shards(settings, shop.query)
    store = GraphStore.open(lake, cache)
    assert store.manifest == GraphManifest.from_dict(shop.manifest.to_dict())
    sampler = NeighborSampler(store, plan.fanouts, plan.rule.strategy, plan.seed, plan.table)
    reader, found = ShardReader(lake, QUERY), 0
    for file in reader.files:
        for shard in reader.read(file):
            block = sampler.sample(shard.block.seeds, shard.block.times, plan.epoch)
            assert shard.block.hops.keys() <= block.hops.keys()
            for path, hop in shard.block.hops.items():
                np.testing.assert_array_equal(hop.nodes, block.hops[path].nodes)
                np.testing.assert_array_equal(hop.times, block.hops[path].times)
                found += int((hop.nodes >= 0).sum())
    assert found > 1_000


def test_the_shards_are_those_of_one_machine(
    cluster: Cluster, spark: Any, shop: Shop, shop_content: dict[str, Any], tmp_path: Path
) -> None:
    lake = copy_lake(shop, tmp_path / "lake")
    content = write_recipe(shop_content, lake, tmp_path, "uniform")
    said = cluster.submit("jobs/build_shards.py", str(tmp_path / "shop.yaml"), conf=SPARK.conf, seconds=300)
    assert "neighborhoods of" in said
    there = rows_in_order(Path(lake.table_uri(f"shards_{QUERY}")))
    assert there == shards_here(spark, shop, content, twin(lake, tmp_path / "copy"))
    assert_sampled_in_memory(lake, content, shop, tmp_path / "store")


def test_they_are_the_same_when_an_executor_is_killed_halfway(
    cluster: Cluster, spark: Any, shop: Shop, shop_content: dict[str, Any], tmp_path: Path
) -> None:
    lake = copy_lake(shop, tmp_path / "lake", copies=1_000)
    content = write_recipe(shop_content, lake, tmp_path, "uniform")
    events = tmp_path / "events"
    conf = {**SPARK.conf, **event_log_conf(events)}
    job = cluster.start("jobs/build_shards.py", str(tmp_path / "shop.yaml"), conf=conf)
    # One task of many has ended, so that both executors are at others.
    moment = re.compile(r"Finished task .* in stage .* \(\d+/([6-9]|\d\d+)\)")
    wait_until(lambda: moment.search(job.log.read_text()), [job.process], 300)
    killed = cluster.kill_executor()
    assert "Lost executor" in job.wait(300)
    assert killed not in cluster.executor_pids()

    logged = read_events(events)
    started = min(event["Submission Time"] for event in of_kind(logged, "JobStart"))
    ended = max(event["Completion Time"] for event in of_kind(logged, "JobEnd"))
    lost = [event["Timestamp"] for event in of_kind(logged, "ExecutorRemoved")]
    assert started < min(lost) < ended
    failed = [event for event in of_kind(logged, "TaskEnd") if event["Task End Reason"]["Reason"] != "Success"]
    assert failed, "no task was lost with the executor"
    reasons = sorted({event["Task End Reason"]["Reason"] for event in failed})
    log.info(
        f"killed {(min(lost) - started) / 1000:.1f} s into {(ended - started) / 1000:.1f} s; {len(failed)} {reasons}"
    )

    folder = Path(lake.table_uri(f"shards_{QUERY}"))
    there = rows_in_order(folder)
    committed = set(pa.table(DeltaTable(str(folder)).get_add_actions(flatten=True))["path"].to_pylist())
    assert {path.name for path in folder.glob("*.parquet")} == committed
    assert len(committed) >= 2
    assert there == shards_here(spark, shop, content, twin(lake, tmp_path / "copy"))
    assert_sampled_in_memory(lake, content, shop, tmp_path / "store")


EVENTS, ROUNDS = 800_000, 2


@pytest.fixture(scope="module")
def hub_log(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Event log of sorting and sampling a graph whose hub has a tenth of the edges."""
    folder = tmp_path_factory.mktemp("hub")
    cluster.submit(
        "tests/pipeline/hub_job.py",
        str(folder),
        str(EVENTS),
        str(ROUNDS),
        conf=event_log_conf(folder / "events"),
        seconds=300,
    )
    return read_events(folder / "events")


@pytest.mark.parametrize(("part", "stages"), [("sort", 2), ("shards", 2)])
def test_no_task_reads_much_more_than_the_others_under_a_hub(hub_log: Any, part: str, stages: int) -> None:
    rounds = []
    for number in range(ROUNDS):
        own = [stage.heavy() for stage in stage_tasks(hub_log) if stage.description == f"{part} {number}"]
        rounds.append([stage for stage in own if len(stage.run) >= 8])
    assert [len(found) for found in rounds] == [stages] * ROUNDS
    for same in zip(*rounds, strict=True):
        assert len({frozenset(stage.run) for stage in same}) == 1
        # Times are told and not judged: what else the machine does may stretch any of them.
        run = np.array([min(stage.run[i] for stage in same) for i in sorted(same[0].run)])
        read = np.array([same[0].read[i] for i in sorted(same[0].read)])
        figures = f"{part}: {len(run)} tasks; longest {run.max()} ms, median {np.median(run):.0f} ms, "
        figures += f"{run.max() / np.median(run):.2f} times; bytes read: {read.max() / np.median(read):.2f} times"
        log.info(figures)
        assert read.max() <= 3 * np.median(read), figures
