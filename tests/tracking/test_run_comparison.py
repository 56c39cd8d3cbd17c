"""Two runs of a real store side by side, from Python and from the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import mlflow
import pandas as pd
import pytest

import gnnscale as gs
from gnnscale.cli.main import main
from gnnscale.lake import Lake
from gnnscale.schema import ConfigError, LakeError
from gnnscale.tracking import start_run
from tests.docs.pages import commands
from tests.tracking.test_lake_store import settings_of


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> tuple[Path, str, str]:
    """A lake with two runs that have ended, and one that was nested in the second."""
    before = mlflow.get_tracking_uri()
    folder = tmp_path_factory.mktemp("runs")
    shutil.copy(empty_store, folder)
    ids = []
    try:
        for rate, value in ((0.1, 0.25), (0.2, 0.5)):
            with start_run(*settings_of(folder)) as run:
                run.log_parameters({"seed": 0, "training": {"learning_rate": rate}})
                # As MLflow does where a model is logged.
                run.log_parameters({"lake": "", "settings/seed": 0} if rate == 0.1 else {})
                figures = {"validation_loss": 1.0, "model/auroc": value, "model/auroc_difference": 0.5, "a/auroc": 0.5}
                figures |= {"model/entities": 9.0, "system/disk": 1.0, "seeds_per_second": 2.0, "map@10": value}
                run.log_metrics(figures | ({"recall": 0.125} if rate == 0.2 else {}))
            ids.append(run.run_id)
        run.start_nested("part").end()
    finally:
        mlflow.set_tracking_uri(before)
    return folder, *ids


def test_what_differs_and_the_metrics_are_shown(runs: tuple[Path, str, str]) -> None:
    folder, first, second = runs
    short = gs.compare_runs(first, second[:6], folder)
    # The model's own first; what stands beside them is for those who ask for everything.
    names = ["model/auroc", "validation_loss", "a/auroc", "map_at_10"]
    assert short[short["kind"] == "metric"]["name"].tolist() == names
    assert short[short["kind"] == "setting"]["name"].tolist() == ["training.learning_rate"]
    table = gs.compare_runs(first, second[:6], folder, everything=True)
    rows = {(row.kind, row.name): row for row in table.itertuples()}
    beside = {"model/auroc_difference", "model/entities", "system/disk", "seeds_per_second", "recall"}
    assert set(table[table["kind"] == "metric"]["name"]) == {*names, *beside}
    assert rows["setting", "seed"].first == rows["setting", "seed"].second == "0"
    changed = rows["setting", "training.learning_rate"]
    assert (changed.first, changed.second) == ("0.1", "0.2") and changed.difference != changed.difference
    better = rows["metric", "map_at_10"]
    assert (better.first, better.second, better.difference) == (0.25, 0.5, 0.25)
    assert pd.isna(rows["metric", "recall"].first) and rows["metric", "recall"].second == 0.125
    assert rows["run", "status"].first == "FINISHED"


def test_the_command_prints_them(runs: tuple[Path, str, str], capsys: pytest.CaptureFixture[str]) -> None:
    folder, first, second = runs
    assert main(["runs", "compare", first, second, "--lake", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split() == ["map_at_10", "0.25", "0.5", "+0.25"] for line in lines)
    assert not any("recall" in line for line in lines)
    assert main(["runs", "compare", first, second, "--lake", str(folder), "--all"]) == 0
    assert any(line.split() == ["recall", "-", "0.125"] for line in capsys.readouterr().out.splitlines())
    assert main(["runs", "list", "--lake", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert [line.split()[0] for line in shown.splitlines()[1:]] == [second, first]


def test_commands_of_the_docs_do_what_they_say(runs: tuple[Path, str, str], capsys: pytest.CaptureFixture[str]) -> None:
    folder, *ids = runs
    written = [words[1:] for _, words in commands() if words[:2] == ["gnnscale", "runs"]]
    assert {words[1] for words in written} == {"list", "compare"}
    for words in written:
        given = iter(ids)
        filled = [{"PATH": str(folder), "RUN": None}.get(word, word) or next(given) for word in words]
        assert main(filled) == 0 and capsys.readouterr().out


def test_runs_that_there_are_not_are_told(
    runs: tuple[Path, str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, first, _ = runs
    assert main(["runs", "compare", first, "0000000", "--lake", str(folder)]) == 2
    assert "no run '0000000'" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="no run"):
        gs.compare_runs(first, first[:5], folder)
    with pytest.raises(LakeError, match="has tracked no runs"):
        gs.list_runs(tmp_path)
    with pytest.raises(ConfigError, match="name the lake"):
        gs.list_runs()
    with pytest.raises(ConfigError, match="a store of their own"):
        gs.list_runs("s3://bucket/lake")
    assert not list(Path(Lake(tmp_path).uri).iterdir())
