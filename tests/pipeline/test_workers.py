"""Training under Ray on any number of workers, when one is killed, and when there is room for one more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from ray.cluster_utils import Cluster
from ray.train import TrainingFailedError

from gnnscale.arrays.host_arrays import name_folder
from gnnscale.config import Settings, build_settings
from gnnscale.lake import Lake
from gnnscale.pipeline.open_graph import open_graph
from gnnscale.pipeline.workers.local_ray import stop_ray
from gnnscale.pipeline.workers.ray_train import train_with_ray
from gnnscale.schema import ConfigError
from gnnscale.training import Trainer, TrainResult, build_task
from tests.ray_actors import actor_processes

pytestmark = pytest.mark.slow

TOLERANCE = {"rtol": 2e-5, "atol": 2e-5}
"""Gradients of a batch are summed in parts, one a worker, and floating-point sums depend on how they are cut."""

Event = tuple[str, dict[str, float]]


@pytest.fixture(scope="module")
def settings(busy_shop: dict[str, Any]) -> Settings:
    changed = {"epochs": 1, "batch_size": 8, "checkpoint_steps": 10, "resize_seconds": 1}
    return build_settings({**busy_shop, "training": {**busy_shop["training"], **changed}})


@pytest.fixture(autouse=True, scope="module")
def own_ray() -> Iterator[None]:
    """One Ray for all tests, begun by the first training; those with a cluster of their own end it before."""
    yield
    end_ray()


def end_ray() -> None:
    stop_ray()
    ray.shutdown()


def train(
    settings: Settings, storage: Path, at_step: Callable[[Mapping[str, float]], None] | None = None, **training: object
) -> tuple[TrainResult, list[Event]]:
    """What training leaves, and all that was heard of it."""
    events: list[Event] = []

    def hear(kind: str, figures: Mapping[str, float]) -> None:
        events.append((kind, dict(figures)))
        if kind == "step" and at_step:
            at_step(figures)

    settings = settings.model_copy(update={"training": settings.training.model_copy(update=training)})
    return train_with_ray(settings, hear, storage), events


def unsent_folders(settings: Settings) -> list[Path]:
    family = name_folder(None, "checkpoints", f"{Lake(settings.lake.uri).uri} {settings.query.name}", "")
    return list(family.parent.glob(f"{family.name}-*"))


def assert_same_training(found: TrainResult, expected: TrainResult) -> None:
    assert found.seen == expected.seen
    assert [step for step, _ in found.losses] == [step for step, _ in expected.losses]
    losses, wanted = ([loss for _, loss in outcome.losses] for outcome in (found, expected))
    torch.testing.assert_close(losses, wanted, **TOLERANCE)
    torch.testing.assert_close(found.weights, expected.weights, **TOLERANCE)
    for name in ("map@10", "recall@20"):
        assert found.best[name] == pytest.approx(expected.best[name], abs=2e-3)


@pytest.fixture(scope="module")
def unbroken(settings: Settings) -> TrainResult:
    """Trained by this process alone."""
    lake = Lake(settings.lake.uri)
    return Trainer(settings, build_task(settings, lake, *open_graph(settings, lake))).run()


def test_four_workers_train_as_one(settings: Settings, unbroken: TrainResult, tmp_path: Path) -> None:
    outcome, events = train(settings, tmp_path, workers=4)
    assert {figures["workers"] for kind, figures in events if kind == "step"} == {4}
    assert_same_training(outcome, unbroken)
    assert max(loss for _, loss in unbroken.losses) > 1.2 * min(loss for _, loss in unbroken.losses)


def test_what_a_worker_refuses_is_an_error_of_its_own_class(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^training.loss=focal does not fit") as caught:
        train(settings, tmp_path, workers=1, max_failures=0, loss="focal")
    assert isinstance(caught.value.__cause__, TrainingFailedError)


def test_two_workers_share_a_table_by_row_as_one_holds_it(settings: Settings, tmp_path: Path) -> None:
    model = settings.model.model_copy(update={"sharded_lookup_rows": 10})
    settings = settings.model_copy(update={"model": model})
    lake = Lake(settings.lake.uri)
    trainer = Trainer(settings, build_task(settings, lake, *open_graph(settings, lake)))
    assert trainer.tables
    alone = trainer.run()
    outcome, _ = train(settings, tmp_path, workers=2, micro_batches=3)
    assert_same_training(outcome, alone)
    for name in trainer.tables:
        assert outcome.weights[f"{name}.weight"].shape == alone.weights[f"{name}.weight"].shape


def test_a_killed_worker_costs_the_steps_since_the_last_checkpoint_and_nothing_else(
    settings: Settings, tmp_path: Path
) -> None:
    # Long enough for a checkpoint to be there when it is heard of a step, and for steps to be left then.
    settings = settings.model_copy(update={"training": settings.training.model_copy(update={"epochs": 4})})
    killed: list[int] = []
    asking: list[int] = []

    def kill(figures: Mapping[str, float]) -> None:
        if not killed and figures["step"] >= 40:
            asking.extend(actor_processes("_AutoscalingCoordinatorActor"))
            killed.append(actor_processes("TrainWorker")[-1])
            os.kill(killed[0], signal.SIGKILL)

    outcome, events = train(settings, tmp_path, kill, workers=2)
    whole, _ = train(settings, tmp_path / "whole", workers=2)
    # A Ray of our own has one node for good: nobody is there to ask for more.
    assert killed and not asking
    steps = [int(figures["step"]) for kind, figures in events if kind == "step"]
    repeated = [step for step in set(steps) if steps.count(step) > 1]
    # It was amid training that the worker died, and training did not begin anew.
    assert steps.count(1) == 1 and repeated and max(repeated) < max(steps)
    assert set(steps) == set(range(1, max(steps) + 1))
    assert outcome.seen == whole.seen and outcome.losses == whole.losses
    # The same two workers sum in the same order, so that nothing is left of the kill.
    torch.testing.assert_close(outcome.weights, whole.weights, rtol=0, atol=0)
    assert not unsent_folders(settings)


def test_checkpoints_that_were_sent_are_removed_from_the_host_of_the_worker(settings: Settings, tmp_path: Path) -> None:
    end_ray()
    # As on another host, the worker's temporary folder is not the driver's.
    (tmp_path / "elsewhere").mkdir()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        cluster.add_node(num_cpus=1, env_vars={"TMPDIR": str(tmp_path / "elsewhere")})
        ray.init(address=cluster.address, log_to_driver=False)
        outcome, events = train(settings, tmp_path / "storage", workers=1)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert outcome.weights and events and list((tmp_path / "storage").rglob("checkpoint.pt"))
    assert not [path.name for path in (tmp_path / "elsewhere").glob("gnnscale-*/checkpoints-*")]


def test_room_for_another_worker_is_taken_within_an_epoch(settings: Settings, tmp_path: Path) -> None:
    # Long enough for a node to come up meanwhile.
    longer = {"epochs": 16, "patience": 16}
    settings = settings.model_copy(update={"training": settings.training.model_copy(update=longer)})
    lake = Lake(settings.lake.uri)
    unbroken = Trainer(settings, build_task(settings, lake, *open_graph(settings, lake))).run()
    end_ray()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    ray.init(address=cluster.address, log_to_driver=False)
    nodes: list[subprocess.Popen[bytes]] = []

    def add(figures: Mapping[str, float]) -> None:
        if not nodes and figures["step"] >= 15:
            start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--num-cpus=1", "--block"]
            nodes.append(subprocess.Popen([*start, f"--address={cluster.address}"]))

    try:
        outcome, events = train(settings, tmp_path, add, workers=1, max_workers=2)
    finally:
        for node in nodes:
            node.terminate()
            node.wait(30)
        ray.shutdown()
        cluster.shutdown()
    workers = {int(figures["step"]): figures["workers"] for kind, figures in events if kind == "step"}
    assert workers[1] == 1 and workers[max(workers)] == 2
    grown = min(step for step, count in workers.items() if count == 2)
    assert grown <= max(workers) - 30, "too late to tell"
    assert_same_training(outcome, unbroken)
