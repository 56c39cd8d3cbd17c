"""What a run has read, and what its stages did, as MLflow shows it."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import pyarrow as pa
import pytest

import gnnscale as gs
from gnnscale.lake import Lake, StageRecord
from gnnscale.pipeline.stages.train_stage import tables_read
from gnnscale.tracking import Run, log_tables, start_run
from tests.tracking.test_lake_store import settings_of


def test_tables_are_inputs_with_their_versions_and_a_comparison_shows_which_changed(tracked: Path) -> None:
    lake, runs = Lake(tracked), []
    for name in ("nodes_t", "edges_t", "predictions_q"):
        lake.write(name, pa.table({"a": [1]}))
    for _ in range(2):
        lake.write("labels_q", pa.table({"a": [1]}))
        with start_run(*settings_of(tracked)) as run:
            for _ in range(2):
                log_tables(run.run_id, lake, [*tables_read(lake, "q"), "absent"], "train")
        runs.append(run.run_id)
    inputs = mlflow.MlflowClient().get_run(runs[1]).inputs.dataset_inputs
    assert {(i.dataset.name, i.dataset.digest) for i in inputs} == {
        ("nodes_t", "0"),
        ("edges_t", "0"),
        ("labels_q", "1"),
    }
    (labels,) = [i for i in inputs if i.dataset.name == "labels_q"]
    source = json.loads(labels.dataset.source)
    assert lake.read("labels_q", version=source["delta_table_version"]).num_rows == 1
    assert source["path"] == lake.table_uri("labels_q") and labels.tags[0].value == "train"
    compared = gs.compare_runs(*runs, tracked)
    changed = compared[compared["kind"] == "table"]
    assert changed[["name", "first", "second"]].to_numpy().tolist() == [["labels_q", "0", "1"]]


def test_runs_that_read_a_table_at_the_same_moment_record_it_both(tracked: Path) -> None:
    lake, runs = Lake(tracked), []
    for _ in range(4):
        with start_run(*settings_of(tracked)) as run:
            runs.append(run.run_id)
    together = threading.Barrier(len(runs))

    def record(run_id: str) -> None:
        together.wait(30)
        log_tables(run_id, lake, ["labels_q"], "train")

    for version in range(8):
        lake.write("labels_q", pa.table({"a": [version]}))
        with ThreadPoolExecutor(len(runs)) as pool:
            list(pool.map(record, runs))
    client = mlflow.MlflowClient()
    for run_id in runs:
        inputs = client.get_run(run_id).inputs.dataset_inputs
        assert sorted(int(i.dataset.digest) for i in inputs) == list(range(8))


def test_stages_are_runs_inside_the_run(tracked: Path) -> None:
    with start_run(*settings_of(tracked)) as run:
        run.log_stage("graph", StageRecord("f", 12.5, "3 tables", versions={"nodes_t": 4}))
    client = mlflow.MlflowClient()
    experiment = client.get_run(run.run_id).info.experiment_id
    (nested,) = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{run.run_id}'")
    assert nested.info.run_name == "graph" and nested.info.status == "FINISHED"
    assert nested.data.metrics == {"seconds": 12.5} and nested.data.tags["mlflow.note.content"] == "3 tables"
    assert json.loads(nested.data.tags["gnnscale.tables"]) == {"nodes_t": 4}
    assert nested.info.end_time - nested.info.start_time == 12_500
    assert list(gs.list_runs(tracked)["run"]) == [run.run_id]


def test_a_run_that_is_gone_is_told_and_stops_nothing(tracked: Path, caplog: pytest.LogCaptureFixture) -> None:
    with start_run(*settings_of(tracked)):
        pass
    with caplog.at_level("WARNING", "gnnscale"):
        Run("0" * 32).log_stage("embed", StageRecord("f", 1.0, "vectors"))
    assert "MLflow was not told of the embed stage" in caplog.text
