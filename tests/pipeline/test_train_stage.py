"""The train stage: a network on blocks under Ray Train, its throughput in MLflow and before a person's eyes."""

from __future__ import annotations

import io
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
import ray
import torch
from rich.console import Console

from gnnscale.config import build_settings
from gnnscale.interface import Model
from gnnscale.lake import Lake, write_stage
from gnnscale.pipeline.open_graph import open_graph
from gnnscale.pipeline.stages.graph_stage import GraphStage
from gnnscale.pipeline.stages.label_stage import LabelStage
from gnnscale.pipeline.stages.retrieve_stage import RetrieveStage
from gnnscale.pipeline.stages.stage import PipelineContext
from gnnscale.pipeline.stages.train_stage import CURVES, TrainStage, train_and_track
from gnnscale.pipeline.workers.local_ray import stop_ray
from gnnscale.pipeline.workers.worker_threads import with_prefetch
from gnnscale.schema import LakeError
from gnnscale.training import Trainer, build_task, model_path
from gnnscale.training.throughput import THROUGHPUT
from tests.conftest import Shop

SHARDED = {"sharded_lookup_rows": 10}
TOLERANCE = 2e-4
"""As in ``tests/pipeline/test_workers``: gradients are summed in other parts."""


@pytest.fixture(autouse=True)
def own_ray() -> Iterator[None]:
    yield
    stop_ray()
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("network", ["blocks", "lightgcn"])
def test_two_workers_train_links_and_tell_how_fast(
    shop: Shop, tmp_path: Path, caplog: pytest.LogCaptureFixture, network: str
) -> None:
    shutil.copytree(shop.lake.uri, tmp_path / "lake")
    content = {**shop.content, "lake": {"uri": str(tmp_path / "lake")}}
    content["model"] = content["model"] | SHARDED | {"network": network}
    content["training"] = content["training"] | {"epochs": 2, "workers": 2, "negative_strategy": "in_batch"}
    settings, lake = build_settings(content), Lake(tmp_path / "lake")
    with caplog.at_level(logging.INFO, "gnnscale.progress"):
        train_and_track(settings, lake, Console(file=io.StringIO()))
    assert " seeds/s, " in caplog.text and " edges/s, waiting " in caplog.text

    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'lake' / 'mlflow.db'}")
    client = mlflow.MlflowClient()
    run_id = lake.read_record(f"run_{settings.query.name}")["run_id"]
    curves = lake.read_record(CURVES.format(query=settings.query.name))
    for name in THROUGHPUT[:-1]:
        history = client.get_metric_history(run_id, name)
        assert sorted(point.step - 1 for point in history) == [step for step, _ in curves["losses"]]
        assert len(client.get_metric_history(run_id, f"validation_{name}")) == 2
    # Two workers learn as one does: negatives are those of the global batch, and the table is one.
    alone = Trainer(settings, build_task(settings, lake, *open_graph(settings, lake))).run()
    assert [loss for _, loss in curves["losses"]] == pytest.approx([loss for _, loss in alone.losses], rel=TOLERANCE)


def test_one_worker_trains_in_this_process_and_starts_no_ray(
    shop: Shop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(shop.lake.uri, tmp_path / "lake")
    settings, lake = build_settings({**shop.content, "lake": {"uri": str(tmp_path / "lake")}}), Lake(tmp_path / "lake")
    threads = torch.get_num_threads()
    with caplog.at_level(logging.INFO, "gnnscale.progress"):
        train_and_track(settings, lake, Console(file=io.StringIO()))
    assert not ray.is_initialized() and torch.get_num_threads() == threads
    assert "epoch 1: validation" in caplog.text
    curves = lake.read_record(CURVES.format(query=settings.query.name))
    alone = Trainer(settings, build_task(settings, lake, *open_graph(settings, lake))).run()
    assert [loss for _, loss in curves["losses"]] == pytest.approx([loss for _, loss in alone.losses])
    saved = torch.load(io.BytesIO(lake.read_bytes(model_path(settings.query.name))), weights_only=True)["weights"]
    torch.testing.assert_close(saved, alone.weights)


@pytest.mark.parametrize(("source", "stage"), [("memory", "labels"), ("shards", "shards")])
def test_training_follows_what_it_reads(shop: Shop, source: str, stage: str) -> None:
    content = {**shop.content, "model": {**shop.content["model"], "network": "blocks"}}
    content["training"] = {**content["training"], "source": source}
    # The shop was built without stages, so that the lake lacks a record of each.
    with pytest.raises(LakeError, match=f"lacks what the {stage} stage makes"):
        TrainStage(PipelineContext(build_settings(content), Console())).inputs()


@pytest.mark.parametrize(
    ("network", "given", "cores", "cuda", "prefetch"),
    [
        ("auto", None, 8, False, 0),
        ("blocks", None, 2, False, 2),
        ("blocks", None, 1, False, 0),
        ("auto", None, 1, True, 2),
        ("blocks", 0, 8, True, 0),
        ("auto", 5, 1, False, 5),
    ],
)
def test_blocks_are_made_ahead_where_there_is_a_core_for_it(
    shop: Shop, network: str, given: int | None, cores: int, cuda: bool, prefetch: int
) -> None:
    content = {**shop.content, "model": {**shop.content["model"], "network": network}}
    content["training"] = {**content["training"], "prefetch": given}
    assert with_prefetch(build_settings(content), cores, cuda).training.prefetch == prefetch


def test_a_model_answers_by_the_settings_of_the_last_run_though_training_was_skipped(
    shop: Shop, tmp_path: Path
) -> None:
    shutil.copytree(shop.lake.uri, tmp_path / "lake")
    lake = Lake(tmp_path / "lake")
    content = {**shop.content, "lake": {"uri": lake.uri}}

    def work(**change: object) -> PipelineContext:
        return PipelineContext(build_settings({**content, **change}), Console(file=io.StringIO()))

    # The shop was built without stages, and is not trained here: their records say that all is done.
    lake.write_bytes(TrainStage(work()).model_file, b"weights")
    for stage in (GraphStage, LabelStage, TrainStage):
        done = stage(work())
        upstream = done.upstream(stage.after) if stage.after else ""
        write_stage(lake, done.record_name, done.digest(), 0.0, "done", done.outputs(), upstream)
    name = shop.settings.query.name
    for exploration in (0.0, 0.25):
        TrainStage(work(retrieval={"exploration": exploration})).run()
        assert Model.open(lake.uri, name, {}).settings.retrieval.exploration == exploration
    # A stage after it that is run alone counts too, though not by what the model was trained with.
    other = work(retrieval={"exploration": 0.5}, seed=9)
    RetrieveStage(other).remember()
    found = Model.open(lake.uri, name, {}).settings
    assert (found.retrieval.exploration, found.seed) == (0.5, shop.settings.seed)
