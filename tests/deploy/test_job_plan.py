"""The job of a platform: its tasks, entry points and arguments exist in the project."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from gnnscale.cli.command_line import build_parser
from gnnscale.cli.main import main
from gnnscale.config import load_settings
from gnnscale.pipeline import job_plan, job_tasks, stage_help
from gnnscale.pipeline.job_plan import ARGUMENTS, ENTRY_POINTS, ORDERS, PARAMETERS

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = {parameter.name: parameter.default for parameter in PARAMETERS}
REFERENCE = re.compile(r"\{\{job\.parameters\.(\w+)\}\}")


def started_with(**values: str) -> list[str]:
    """The arguments of a task as the platform fills them in."""
    return [REFERENCE.sub(lambda match: {**DEFAULTS, **values}[match[1]], argument) for argument in ARGUMENTS]


def entry_points() -> dict[str, str]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][ENTRY_POINTS]


def test_every_stage_has_an_entry_point() -> None:
    assert entry_points() == {name: f"gnnscale.cli.job:{name}" for name in stage_help()}


@pytest.mark.parametrize("name", sorted(stage_help()))
def test_an_entry_point_runs_its_stage(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    module, _, attribute = entry_points()[name].partition(":")
    start = getattr(import_module(module), attribute)
    monkeypatch.setattr(sys, "argv", [name, "no_such_recipe"])
    with pytest.raises(SystemExit) as stopped:
        start()
    assert stopped.value.code == 2 and "no recipe 'no_such_recipe'" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit):
        start()
    assert f"gnnscale {name} " in capsys.readouterr().out


def test_a_stage_that_there_is_not_has_no_entry_point() -> None:
    with pytest.raises(AttributeError, match="no attribute 'paint'"):
        getattr(import_module("gnnscale.cli.job"), "paint")  # noqa: B009


def test_an_entry_point_returns_where_all_is_well(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A platform takes any exit, that with 0 too, for a failure."""
    arguments = ["complete_journey", "--dry-run", f"lake.uri={tmp_path}"]
    assert main(["graph", *arguments]) == 0
    monkeypatch.setattr(sys, "argv", ["graph", *arguments])
    assert import_module("gnnscale.cli.job").graph() is None


@pytest.mark.parametrize("answers", sorted(ORDERS))
def test_tasks_wait_for_those_before_them(answers: str) -> None:
    tasks = job_tasks(answers)  # type: ignore[arg-type]
    assert [task.name for task in tasks] == [stage.name for stage in ORDERS[answers]]  # type: ignore[index]
    assert [task.after for task in tasks] == [(), *((task.name,) for task in tasks[:-1])]
    assert {task.name for task in tasks if task.compute == "spark"} == {"graph", "labels"}


def test_arguments_name_parameters_and_every_parameter_is_used() -> None:
    named = {name for argument in ARGUMENTS for name in REFERENCE.findall(argument)}
    assert named == set(DEFAULTS) == {parameter["name"] for parameter in job_plan()["parameters"]}


def test_what_a_task_is_started_with_is_configuration() -> None:
    words = started_with(mode="fast", seed="7", catalog="main", schema="shop", volume="lake")
    options = build_parser().parse_args(["train", *words])
    settings = load_settings(options.recipe, options.overrides, mode=options.mode)
    assert settings.seed == 7 and settings.lake.uri == "/Volumes/main/shop/lake/lake"
    assert settings.tracking.uri == "databricks" and settings.tracking.register_as == DEFAULTS["model"]
    assert settings.tracking.experiment == DEFAULTS["experiment"]
