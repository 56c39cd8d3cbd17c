"""The bundle's job, loaded as the platform's command line loads it, is the job that Terraform makes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from databricks.bundles.core import Bundle

from bundle.job import build_job, load_resources
from gnnscale.pipeline.job_plan import ARGUMENTS
from tests.deploy.terraform_files import read_module
from tests.deploy.test_terraform import TERRAFORM, needs_program, terraform

ROOT = Path(__file__).resolve().parents[2]
CONTENT: dict[str, Any] = yaml.safe_load((ROOT / "databricks.yml").read_text())


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The job of the target dev, from the process that ``databricks bundle`` starts."""
    folder = tmp_path_factory.mktemp("bundle")
    chosen = CONTENT["targets"]["dev"]["variables"]
    given = {name: chosen.get(name, said.get("default")) for name, said in CONTENT["variables"].items()}
    content = {
        "bundle": {**CONTENT["bundle"], "target": "dev"},
        "python": CONTENT["python"],
        "variables": {name: {"value": value} for name, value in given.items()},
    }
    (folder / "input").write_text(json.dumps(content))
    words = [word for name in ("input", "output", "diagnostics") for word in (f"--{name}", str(folder / name))]
    command = [sys.executable, "-m", "databricks.bundles.build", "--phase", "load_resources", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=ROOT)
    told = (folder / "diagnostics").read_text()
    assert done.returncode == 0 and not told, told or done.stderr
    (made,) = json.loads((folder / "output").read_text())["resources"]["jobs"].values()
    return made


def terraform_job(folder: Path, answers: str) -> dict[str, Any]:
    """What the module of tasks says, asked of Terraform itself."""
    module = shutil.copytree(
        TERRAFORM / "modules/tasks", folder / "tasks", ignore=shutil.ignore_patterns(".terraform*")
    )
    (module / "answers.auto.tfvars").write_text(f'answers = "{answers}"\n')
    for words in (("init", "-input=false"), ("apply", "-auto-approve", "-input=false")):
        done = terraform(module, *words)
        assert done.returncode == 0, done.stdout
    state = json.loads((module / "terraform.tfstate").read_text())
    return {name: output["value"] for name, output in state["outputs"].items()}


def differences(job: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """How the bundle's job differs from that of Terraform's module."""
    tasks = {task["task_key"]: task for task in job["tasks"]}
    parameters = {given["name"] for given in job["parameters"]}
    found = [f"task {name} is in one of them alone" for name in sorted(set(tasks) ^ set(other["tasks"]))]
    found += [f"parameter {name} is in one of them alone" for name in sorted(parameters ^ set(other["parameters"]))]
    for name in sorted(set(tasks) & set(other["tasks"])):
        task, mine = tasks[name], other["tasks"][name]
        pairs = {
            "job_cluster_key": (task["job_cluster_key"], mine["compute"]),
            "depends_on": ([before["task_key"] for before in task.get("depends_on", [])], mine["after"]),
            "package_name": (task["python_wheel_task"]["package_name"], other["package"]),
            "entry_point": (task["python_wheel_task"]["entry_point"], name),
            "parameters": (task["python_wheel_task"]["parameters"], other["arguments"]),
            "timeout_seconds": (task["timeout_seconds"], other["timeout_seconds"]),
            "max_retries": (task["max_retries"], other["retries"]),
        }
        found += [f"{name}: {key} is {a} and {b}" for key, (a, b) in pairs.items() if a != b]
    return found


@needs_program
def test_both_make_the_same_job(job: dict[str, Any], tmp_path: Path) -> None:
    other = terraform_job(tmp_path, "links")
    assert differences(job, other) == []
    changed = deepcopy(job)
    changed["parameters"].append({"name": "color", "default": "red"})
    changed["tasks"][0]["python_wheel_task"]["entry_point"] = "grahp"
    assert differences(changed, other) == [
        "parameter color is in one of them alone",
        "graph: entry_point is grahp and graph",
    ]


@needs_program
def test_both_make_the_same_job_of_values(tmp_path: Path) -> None:
    assert differences(build_job("entities").as_dict(), terraform_job(tmp_path, "entities")) == []


def test_what_stands_around_the_tasks_is_the_same(job: dict[str, Any]) -> None:
    """Read from the resource, which only the provider could evaluate."""
    resource = read_module(TERRAFORM / "modules/jobs").of("resource")["this"]
    task = next(entry['"task"'] for entry in resource["dynamic"] if '"task"' in entry)["content"][0]
    assert job["max_concurrent_runs"] == resource["max_concurrent_runs"]
    assert job["queue"]["enabled"] is resource["queue"][0]["enabled"]
    assert job["description"] == resource["description"].strip('"')
    assert {t["min_retry_interval_millis"] for t in job["tasks"]} == {task["min_retry_interval_millis"]}
    assert set(job["tags"]) == {"project", "environment"}


def test_the_job_installs_what_its_recipe_reads_where_it_reads_any(job: dict[str, Any]) -> None:
    wheel, package = {"whl": "dist/*.whl"}, {"pypi": {"package": "${var.package}"}}
    assert all(task["libraries"] == [wheel, package] for task in job["tasks"])
    assert all(task["libraries"] == [wheel] for task in build_job("links", package=False).as_dict()["tasks"])
    resource = read_module(TERRAFORM / "modules/jobs").of("resource")["this"]
    task = next(entry['"task"'] for entry in resource["dynamic"] if '"task"' in entry)["content"][0]
    assert any("var.packages" in str(entry) for entry in task["dynamic"])


def test_tasks_run_on_clusters_that_the_job_has(job: dict[str, Any]) -> None:
    clusters = {cluster["job_cluster_key"]: cluster["new_cluster"] for cluster in job["job_clusters"]}
    assert {task["job_cluster_key"] for task in job["tasks"]} == set(clusters)
    assert clusters["spark"]["autoscale"] and not clusters["gpu"].get("autoscale")
    assert clusters["gpu"]["spark_version"] == "${var.gpu_spark_version}" != clusters["cpu"]["spark_version"]


def test_variables_that_are_named_are_declared(job: dict[str, Any]) -> None:
    named = set(re.findall(r"\$\{var\.(\w+)\}", json.dumps([job, CONTENT])))
    assert named | {"answers"} == set(CONTENT["variables"])
    for chosen in CONTENT["targets"].values():
        assert set(chosen.get("variables", {})) <= set(CONTENT["variables"])
    without = {name for name, said in CONTENT["variables"].items() if "default" not in said}
    # A variable without a value stops a deployment, whether or not the target uses it; who prod runs as is to be given.
    assert without <= set(CONTENT["targets"]["dev"]["variables"])
    assert without - set(CONTENT["targets"]["prod"]["variables"]) == {"service_principal"}


def test_parameters_that_arguments_name_are_the_jobs(job: dict[str, Any]) -> None:
    names = {given["name"] for given in job["parameters"]}
    assert {name for argument in ARGUMENTS for name in re.findall(r"job\.parameters\.(\w+)", argument)} == names


def test_answers_that_there_are_not_are_told() -> None:
    with pytest.raises(ValueError, match="variable answers is one of links, entities, and not colors"):
        load_resources(Bundle(target="dev", variables={"answers": "colors"}))


def test_a_misspelt_field_is_refused_by_the_typed_models() -> None:
    source, names = (ROOT / "bundle/job.py").read_text(), {"__name__": "bundle.job"}
    assert "max_retries=" in source
    exec(compile(source.replace("max_retries=", "max_retrys="), "misspelt", "exec"), names)
    with pytest.raises(TypeError, match="unexpected keyword argument 'max_retrys'"):
        names["build_job"]("links")  # type: ignore[operator]


def test_no_host_token_or_person_stands_there() -> None:
    text = (ROOT / "databricks.yml").read_text() + (ROOT / "bundle/job.py").read_text()
    assert not re.search(r"https?://|dapi[0-9a-f]{8}|[\w.]+@[\w-]+\.\w+|user_name", text)
