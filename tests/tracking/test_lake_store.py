"""MLflow's file in a lake is whole or not there, and its files are where the lake is."""

import multiprocessing
import shutil
import sqlite3
import time
from pathlib import Path

import mlflow
import pytest

from gnnscale.config import build_settings
from gnnscale.lake import Lake
from gnnscale.tracking import start_run
from gnnscale.tracking.lake_store import DATABASE, open_lake_store

TABLES = {"t": {"source": "t.parquet", "primary_key": "id"}}


def make(folder: Path) -> None:
    open_lake_store(folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    open_lake_store(folder)
    return folder


@pytest.fixture(autouse=True)
def own_store() -> None:
    before = mlflow.get_tracking_uri()
    yield
    mlflow.set_tracking_uri(before)


def settings_of(folder: Path, **tracking: str | float):
    query = {"name": "q", "text": "PREDICT COUNT(t.*, 0, 7) FOR EACH t.id"}
    content = {"recipe": "r", "lake": {"uri": str(folder)}, "tables": TABLES, "query": query, "tracking": tracking}
    return build_settings(content), Lake(folder)


@pytest.mark.slow
def test_a_kill_while_it_is_made_leaves_none_and_two_at_once_make_one(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    killed = context.Process(target=make, args=(tmp_path,))
    killed.start()
    while not list(tmp_path.glob(f".{DATABASE}.*.partial")):
        assert killed.is_alive()
        time.sleep(0.005)
    killed.kill()
    killed.join()
    assert not (tmp_path / DATABASE).exists()
    other = context.Process(target=make, args=(tmp_path,))
    other.start()
    open_lake_store(tmp_path)
    other.join()
    assert other.exitcode == 0
    assert [path.name for path in tmp_path.iterdir() if path.suffix in (".db", ".partial")] == [DATABASE]
    with start_run(*settings_of(tmp_path)) as run:
        run.log_metrics({"x": 1.0})


def test_one_that_was_left_half_made_is_set_aside(made: Path, tmp_path: Path, caplog) -> None:
    shutil.copytree(made, tmp_path / "lake")
    with sqlite3.connect(tmp_path / "lake" / DATABASE) as connection:
        # As a kill between the first tables and the last of MLflow's migrations leaves it.
        connection.execute("DELETE FROM experiments")
        connection.execute("DROP TABLE logged_models")
    with start_run(*settings_of(tmp_path / "lake")) as run:
        run.log_metrics({"x": 1.0})
    assert "left half made" in caplog.text and (tmp_path / "lake" / "mlflow-broken-1.db").exists()


def test_a_copied_lake_writes_into_itself_and_hides_secrets(made: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "with space"
    shutil.copytree(made, first)
    with start_run(*settings_of(first)) as run:
        run.log_text("one", "note.txt")
        run.log_parameters({"tracking": {"uri": "postgresql://u:pass@h/d"}, "spark": {"conf": {"a.secret": "pass"}}})
    shutil.copytree(first, second)
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*")}
    with start_run(*settings_of(second)) as again:
        again.log_text("two", "note.txt")
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*")} == before
    client = mlflow.MlflowClient()
    for each, text in ((run, "one"), (again, "two")):
        assert Path(client.download_artifacts(each.run_id, "note.txt")).read_text() == text
        assert client.get_run(each.run_id).info.artifact_uri.startswith(f"{second.as_uri()}/mlartifacts/")
    parameters = client.get_run(run.run_id).data.params
    assert parameters == {"tracking.uri": "postgresql://u:***@h/d", "spark.conf.a.secret": "***"}
