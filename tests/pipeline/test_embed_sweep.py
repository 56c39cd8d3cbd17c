"""Batch inference over Ray: a worker that is killed, a driver that is killed, and faults that are no worker's."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
import torch
from ray.cluster_utils import Cluster

from gnnscale.config import Settings
from gnnscale.inference import embed
from gnnscale.lake import Lake
from gnnscale.pipeline.workers.ray_embed import embed_lake
from gnnscale.schema import GnnscaleError, LakeError
from gnnscale.store import GraphStore
from gnnscale.training import model_path
from tests.conftest import Shop
from tests.embedded_shop import TABLES, anchors_of, copy_shop, sweep_files, tables_of, train_towers
from tests.ray_actors import actor_processes, wait_for_end

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]

DRIVER = """
import json, sys
from gnnscale.config import build_settings
from gnnscale.lake import Lake
from gnnscale.pipeline.workers.ray_embed import embed_lake
content, anchors = json.loads(sys.stdin.read())
settings = build_settings(content)
embed_lake(settings, Lake(settings.lake.uri), anchors)
"""


ELSEWHERE = ["unshare", "--map-root-user", "--uts", "sh", "-c", 'hostname elsewhere && exec "$@"', "sh"]
"""Begins a command that runs on a host of another name."""


@pytest.fixture(scope="module")
def found_ray(shop: Shop) -> Iterator[None]:
    """A Ray that was there before, for all tests that need one; what a sweep starts by itself ends with it."""
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def whole(shop: Shop, store: GraphStore, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The tables of an unbroken run in one process."""
    settings, lake = copy_shop(shop, tmp_path_factory.mktemp("whole"), partition_rows=3)
    embed(settings, lake, store, anchors_of(shop.plan))
    return lake


def test_a_small_lake_is_swept_without_ray(shop: Shop, whole: Lake, tmp_path: Path) -> None:
    settings, lake = copy_shop(shop, tmp_path, partition_rows=3)
    assert settings.embedding.workers == "auto"
    embed_lake(settings, lake, anchors_of(shop.plan))
    assert not ray.is_initialized() and tables_of(lake) == tables_of(whole)


@pytest.mark.skipif(
    not shutil.which("unshare") or subprocess.run([*ELSEWHERE, "true"], capture_output=True).returncode != 0,
    reason="this user can't give a process another host name",
)
def test_layers_are_for_workers_on_the_host_of_the_driver(shop: Shop, tmp_path: Path) -> None:
    settings, lake, _ = train_towers(shop, tmp_path, {"strategy": "last"}, {"method": "layerwise", "workers": 2})
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    content = json.dumps([settings.model_dump(mode="json"), anchors_of(shop.plan)])
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_ADDRESS": cluster.address}
    try:
        driver = subprocess.run(
            [*ELSEWHERE, sys.executable, "-c", DRIVER],
            input=content,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
    finally:
        cluster.shutdown()
    said = "states in files of the driver's host, elsewhere, and Ray may start workers on"
    assert said in driver.stderr and socket.gethostname() in driver.stderr
    assert not any(lake.exists(table) for table in TABLES)


@pytest.mark.usefixtures("found_ray")
def test_a_killed_worker_is_replaced_and_its_partition_done_again(shop: Shop, whole: Lake, tmp_path: Path) -> None:
    settings, lake = copy_shop(shop, tmp_path, partition_rows=3, workers=2)
    done, killed = [0], []

    def kill(rows: int) -> None:
        done[0] += rows
        if not killed and done[0] > 20 and len(actor_processes("_Encoder")) == 2:
            killed.append(actor_processes("_Encoder")[0])
            os.kill(killed[0], signal.SIGKILL)

    summary = embed_lake(settings, lake, anchors_of(shop.plan), kill)
    assert killed and done[0] == summary.rows == summary.encoded
    assert tables_of(lake) == tables_of(whole)
    assert [lake.version(table) for table in TABLES] == [0, 0, 0]


def test_a_driver_that_was_killed_leaves_what_it_finished(shop: Shop, whole: Lake, tmp_path: Path) -> None:
    settings, lake = copy_shop(shop, tmp_path, partition_rows=3, workers=2)
    anchors = anchors_of(shop.plan)
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER], stdin=subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert driver.stdin is not None
    driver.stdin.write(json.dumps([settings.model_dump(mode="json"), anchors]).encode())
    driver.stdin.close()
    deadline = time.monotonic() + 120
    while len(sweep_files(lake)) < 12:
        assert driver.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    encoders = actor_processes("_Encoder", driver.pid)
    driver.kill()
    driver.wait()
    wait_for_end(encoders, "_Encoder")
    assert encoders and not lake.exists(TABLES[-1])
    left = sweep_files(lake)
    summary = embed_lake(settings, lake, anchors)
    after = sweep_files(lake)
    assert 0 < summary.found < summary.rows and summary.found + summary.encoded == summary.rows
    # Of a partition of entities one of two files may have been there, which is not enough.
    kept = {name for name in left if after[name] == left[name]}
    assert len(left) - len(kept) <= 2
    assert tables_of(lake) == tables_of(whole)


@pytest.mark.usefixtures("found_ray")
def test_layers_that_a_killed_worker_had_begun_are_done_again(shop: Shop, tmp_path: Path) -> None:
    around = {"purchases.customer_id": 60, "purchases.product_id": 60}
    sampling = {"strategy": "last", "entity_hops": [around, around]}
    layerwise = {"method": "layerwise", "partition_rows": 3, "workers": 2}
    settings, lake, _ = train_towers(shop, tmp_path, sampling, layerwise)
    anchors, done, killed = anchors_of(shop.plan), [0], []
    embed(settings, lake, GraphStore.open(lake), anchors)
    whole = tables_of(lake)

    def kill(rows: int) -> None:
        done[0] += rows
        # In the first layer, of some hundreds of nodes.
        if not killed and done[0] > 20 and len(actor_processes("_Encoder")) == 2:
            killed.append(actor_processes("_Encoder")[0])
            os.kill(killed[0], signal.SIGKILL)

    summary = embed_lake(settings, lake, anchors, kill, run_nonce="by two")
    assert killed and summary.rows == summary.encoded and done[0] > summary.rows
    assert tables_of(lake) == whole


@pytest.mark.usefixtures("found_ray")
def test_workers_that_are_lost_again_and_again_end_the_sweep(shop: Shop, tmp_path: Path) -> None:
    settings, lake = copy_shop(shop, tmp_path, partition_rows=1, workers=2, max_failures=0)

    def kill(rows: int) -> None:
        for process in actor_processes("_Encoder")[:1]:
            os.kill(process, signal.SIGKILL)

    with pytest.raises(GnnscaleError, match=r"lost 1 workers, more than embedding.max_failures=0"):
        embed_lake(settings, lake, anchors_of(shop.plan), kill)
    assert not any(lake.exists(table) for table in TABLES)


@pytest.mark.usefixtures("found_ray")
def test_a_fault_of_the_input_is_told_as_such(shop: Shop, tmp_path: Path) -> None:
    settings, lake = copy_shop(shop, tmp_path, workers=2)
    path = Path(lake.uri) / model_path("next_week")
    saved = torch.load(path)
    del saved["weights"]["pair_skip.weight"]
    torch.save(saved, path)
    with pytest.raises(LakeError, match="does not fit the graph or the configuration any more"):
        embed_lake(settings, lake, anchors_of(shop.plan))


@pytest.mark.skipif(torch.cuda.is_available(), reason="the machine has a GPU")
def test_a_gpu_that_is_asked_for_and_missing_is_an_error(shop: Shop, tmp_path: Path) -> None:
    settings, lake = copy_shop(shop, tmp_path)
    settings = with_gpu(settings)
    with pytest.raises(GnnscaleError, match=r"training.gpu=yes asks for a GPU, and there is none"):
        embed_lake(settings, lake, anchors_of(shop.plan))


def with_gpu(settings: Settings) -> Settings:
    return settings.model_copy(update={"training": settings.training.model_copy(update={"gpu": "yes"})})
