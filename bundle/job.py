"""The job of the platform, typed: the same tasks as those of ``terraform/modules/jobs``, from the same place."""

from __future__ import annotations

from typing import Any, cast, get_args

from databricks.bundles.core import Bundle, Resources, Variable, variables
from databricks.bundles.jobs import (
    AutoScale,
    ClusterSpec,
    DataSecurityMode,
    Job,
    JobCluster,
    JobParameterDefinition,
    Library,
    PythonPyPiLibrary,
    PythonWheelTask,
    QueueSettings,
    Task,
    TaskDependency,
)

from gnnscale.pipeline import Answers, JobTask, job_plan, job_tasks

SINGLE_NODE: dict[str, Variable[str] | str] = {
    "spark.databricks.cluster.profile": "singleNode",
    "spark.master": "local[*]",
}


@variables
class Variables:
    """Those of ``databricks.yml``."""

    catalog: Variable[str]
    schema: Variable[str]
    volume: Variable[str]
    recipe: Variable[str]
    package: Variable[str]
    mode: Variable[str]
    answers: Variable[str]
    spark_version: Variable[str]
    gpu_spark_version: Variable[str]
    spark_node_type: Variable[str]
    gpu_node_type: Variable[str]
    cpu_node_type: Variable[str]
    most_workers: Variable[int]


def load_resources(bundle: Bundle) -> Resources:
    """The job, for the target that is deployed."""
    answers: str = bundle.resolve_variable(cast(Any, Variables.answers))
    for allowed in get_args(Answers):
        if answers == allowed:
            resources = Resources()
            package: str = bundle.resolve_variable(cast(Any, Variables.package))
            resources.add_job("gnnscale", build_job(allowed, bool(package)))
            return resources
    raise ValueError(f"variable answers is one of {', '.join(get_args(Answers))}, and not {answers}")


def build_job(answers: Answers, package: bool = True) -> Job:
    """The job.

    Args:
        answers: what its query asks for.
        package: whether its recipe reads a package beside the wheel.
    """
    plan, tasks = job_plan(), job_tasks(answers)
    values = {
        "catalog": Variables.catalog.value,
        "schema": Variables.schema.value,
        "volume": Variables.volume.value,
        "recipe": Variables.recipe.value,
        "mode": Variables.mode.value,
        "experiment": "/Shared/gnnscale-${bundle.target}",
        "model": f"{Variables.catalog}.{Variables.schema}.predictions",
    }
    return Job(
        name="gnnscale-${bundle.target}",
        description="Tables to a graph, a model and predictions: gnnscale.",
        tags={"project": "gnnscale", "environment": "${bundle.target}"},
        # Two runs would write the same lake; the second waits.
        max_concurrent_runs=1,
        queue=QueueSettings(enabled=True),
        parameters=[
            JobParameterDefinition(name=given["name"], default=values.get(given["name"], given["default"]))
            for given in plan["parameters"]
        ],
        job_clusters=[_cluster(compute) for compute in sorted({task.compute for task in tasks})],
        tasks=[_task(task, package) for task in tasks],
    )


def _task(task: JobTask, package: bool) -> Task:
    plan, beside = job_plan(), Library(pypi=PythonPyPiLibrary(package=Variables.package))
    return Task(
        task_key=task.name,
        description=task.description,
        job_cluster_key=task.compute,
        depends_on=[TaskDependency(task_key=before) for before in task.after],
        timeout_seconds=plan["timeout_seconds"],
        max_retries=plan["retries"],
        min_retry_interval_millis=60000,
        retry_on_timeout=False,
        python_wheel_task=PythonWheelTask(
            package_name=plan["package"], entry_point=task.name, parameters=plan["arguments"]
        ),
        libraries=[Library(whl="dist/*.whl"), *([beside] if package else [])],
    )


def _cluster(compute: str) -> JobCluster:
    runtime = Variables.gpu_spark_version if compute == "gpu" else Variables.spark_version
    machine = {"spark": Variables.spark_node_type, "gpu": Variables.gpu_node_type, "cpu": Variables.cpu_node_type}
    if compute == "spark":
        return JobCluster(
            job_cluster_key=compute,
            new_cluster=ClusterSpec(
                spark_version=runtime,
                node_type_id=machine[compute],
                data_security_mode=DataSecurityMode.SINGLE_USER,
                autoscale=AutoScale(min_workers=1, max_workers=Variables.most_workers),
            ),
        )
    return JobCluster(
        job_cluster_key=compute,
        new_cluster=ClusterSpec(
            spark_version=runtime,
            node_type_id=machine[compute],
            data_security_mode=DataSecurityMode.SINGLE_USER,
            num_workers=0,
            spark_conf=SINGLE_NODE,
            custom_tags={"ResourceClass": "SingleNode"},
        ),
    )
