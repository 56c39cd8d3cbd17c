"""A few faults of the campaign, on the shop: ``make test-faults`` does hundreds, at random moments of every stage."""

import io
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from gnnscale.config import build_settings
from gnnscale.lake import Lake
from gnnscale.pipeline.open_graph import open_graph
from gnnscale.pipeline.workers.hyperparameter_search import SEARCH
from gnnscale.training import Trainer, build_task, model_path
from tests.cluster import command_line, descendants
from tests.conftest import Shop
from tests.faults.faults import FAULTS
from tests.faults.runs import Place, copy_lake
from tests.stage_records import record_stages

STRIKE = {fault.name: fault for fault in FAULTS}

TOLERANCE = 2e-4
"""As in ``tests/pipeline/test_workers``: gradients may be summed in other parts."""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A lake and a temporary folder of a short path; nothing of it lives at the end."""
    with tempfile.TemporaryDirectory(prefix="gf-", dir="/tmp") as folder:
        found = Place(tmp_path / "shop.yaml", tmp_path / "lake", Path(folder))
        yield found
        found.kill_all()


def write_recipe(place: Place, content: dict[str, Any], **training: Any) -> None:
    kept = {key: value for key, value in content.items() if key != "recipe"}
    # One worker would need no Ray, which is what is struck.
    kept["training"] = {**content["training"], "workers": 2, **training}
    place.recipe.write_text(yaml.safe_dump({**kept, "lake": {"uri": str(place.lake)}}))


def struck(place: Place, stage: str, fault: str, ready: Callable[[int, str], bool], log: Path) -> tuple[int, str]:
    """Status and output of a stage that a fault strikes when it is ready for it; told to end, it does so in time."""
    process = place.start(stage, log)
    end = time.monotonic() + 300
    while not ready(process.pid, log.read_text()):
        assert process.poll() is None and time.monotonic() < end, log.read_text()
        time.sleep(0.1)
    assert STRIKE[fault].strike(process.pid)
    status = process.wait(15)
    if fault != "kill":
        assert not place.wait_for_end(10)
    return status, log.read_text()


def is_training(pid: int, said: str) -> bool:
    """Whether an epoch is done, of more than there is time for."""
    return "epoch 1: validation" in said


def has_gcs(pid: int, said: str) -> bool:
    """Whether the first process of Ray is there."""
    commands = (command_line(below) for below in descendants([pid]))
    return any(Path(command[0]).name == "gcs_server" for command in commands if command)


@pytest.mark.slow
def test_training_that_is_interrupted_or_killed_runs_again_as_if_nothing_had_been(
    shop: Shop, place: Place, tmp_path: Path
) -> None:
    copy_lake(Path(shop.lake.uri), place.lake)
    lake, settings = Lake(place.lake), build_settings({**shop.content, "lake": {"uri": str(place.lake)}})
    record_stages(settings)

    write_recipe(place, shop.content, epochs=10_000, patience=10_000)
    status, said = struck(place, "train", "interrupt three times", is_training, tmp_path / "interrupted.log")
    assert status == 130 and said.count("interrupted: tables that were committed stay") == 1
    assert "Traceback" not in said and not lake.has_file(model_path(settings.query.name))
    status, said = struck(place, "train", "kill the raylet", is_training, tmp_path / "raylet.log")
    assert status == 1 and "error: Ray's raylet is gone (killed by signal 9)" in said.splitlines()[-1]
    assert "Traceback" not in said and "worker_pool.cc" not in said
    status, said = struck(place, "train", "kill the GCS", has_gcs, tmp_path / "gcs.log")
    assert status == 1 and "error: Ray's GCS is gone (killed by signal 9)" in said.splitlines()[-1]
    status, _ = struck(place, "train", "kill", is_training, tmp_path / "killed.log")
    assert status == -9

    write_recipe(place, shop.content)
    status, _ = place.run("train", tmp_path / "again.log")
    assert status == 0, (tmp_path / "again.log").read_text()
    assert not place.wait_for_end(10) and not place.left()
    found = torch.load(io.BytesIO(lake.read_bytes(model_path(settings.query.name))), weights_only=True)["weights"]
    unbroken = Trainer(settings, build_task(settings, lake, *open_graph(settings, lake))).run()
    torch.testing.assert_close(found, unbroken.weights, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.slow
def test_a_search_that_is_interrupted_has_chosen_nothing(shop: Shop, place: Place, tmp_path: Path) -> None:
    def is_trying(pid: int, said: str) -> bool:
        return any("ImplicitFunc.train" in " ".join(command_line(below)) for below in descendants([pid]))

    copy_lake(Path(shop.lake.uri), place.lake)
    record_stages(build_settings({**shop.content, "lake": {"uri": str(place.lake)}}))
    write_recipe(place, shop.content, epochs=10_000, patience=10_000, workers=1, learning_rate=[0.001, 0.01])
    status, said = struck(place, "train", "interrupt three times", is_trying, tmp_path / "search.log")
    assert status == 130 and said.count("interrupted: tables that were committed stay") == 1
    assert "chosen" not in said and "Traceback" not in said
    assert not place.wait_for_end(10) and not place.left()
    lake, name = Lake(place.lake), shop.settings.query.name
    assert lake.read_record(SEARCH.format(query=name)) is None and not lake.has_file(model_path(name))


@pytest.mark.slow
def test_a_killed_jvm_is_told_in_a_line(shop: Shop, place: Place, tmp_path: Path) -> None:
    commands: list[str] = []

    def has_jvm(pid: int, said: str) -> bool:
        commands.extend(" ".join(command_line(below)) for below in descendants([pid]))
        return "built in full" in said

    secret = {"spark.hadoop.fs.s3a.secret.key": "hidden-from-others", "spark.hadoop.shown": "shown-to-all"}
    write_recipe(place, {**shop.content, "spark": {**shop.content["spark"], "conf": secret}})
    status, said = struck(place, "graph", "kill the JVM", has_jvm, tmp_path / "graph.log")
    assert status == 1 and "error: Spark's JVM is gone (killed by signal 9)" in said.splitlines()[-1]
    assert "Traceback" not in said and "at org.apache" not in said and len(said.splitlines()) < 12
    # Everybody on the machine can read a command line.
    assert any("shown-to-all" in command for command in commands)
    assert not any("hidden-from-others" in command for command in commands)
