"""MLflow looks at the machine while a run goes on, and no longer."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import mlflow
import pytest

import gnnscale as gs
from gnnscale.tracking import start_run
from tests.tracking.test_lake_store import settings_of


@pytest.fixture
def folder(tmp_path: Path, empty_store: Path) -> Path:
    shutil.copy(empty_store, tmp_path)
    return tmp_path


def watchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "SystemMetricsMonitor"]


def seen(run_id: str) -> dict[str, float]:
    metrics = mlflow.MlflowClient().get_run(run_id).data.metrics
    return {name: value for name, value in metrics.items() if name.startswith("system/")}


def test_processors_and_memory_are_there_and_stay_out_of_comparisons(folder: Path) -> None:
    before = mlflow.get_tracking_uri()
    ids = []
    try:
        for _ in range(2):
            with start_run(*settings_of(folder, system_seconds=0.05)) as run:
                run.log_metrics({"map@10": 0.5})
                end = time.monotonic() + 60
                while not (found := seen(run.run_id)) and time.monotonic() < end:
                    time.sleep(0.05)
            ids.append(run.run_id)
            assert not watchers()
            assert 0 <= found["system/cpu_utilization_percentage"] <= 100
            assert found["system/system_memory_usage_megabytes"] > 100
    finally:
        mlflow.set_tracking_uri(before)
    shown = gs.compare_runs(*ids, folder)
    assert shown[shown["kind"] == "metric"]["name"].tolist() == ["map_at_10"]
    whole = gs.compare_runs(*ids, folder, everything=True)["name"]
    assert "system/cpu_utilization_percentage" in whole.tolist()


def fail(folder: Path) -> None:
    with start_run(*settings_of(folder, system_seconds=0.05)):
        raise RuntimeError(f"{len(watchers())} watches")


def test_it_is_not_looked_at_where_nobody_wants_it_and_not_after_a_failure(folder: Path) -> None:
    before = mlflow.get_tracking_uri()
    try:
        with start_run(*settings_of(folder, system_seconds=0)):
            assert not watchers()
        with pytest.raises(RuntimeError, match="1 watches"):
            fail(folder)
        assert not watchers()
    finally:
        mlflow.set_tracking_uri(before)
