"""The multi-task job of a platform: its tasks, what starts each, and its parameters.

Terraform (``terraform/modules/tasks/tasks.json``) and the bundle (``bundle/job.py``) both take them from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from gnnscale.pipeline.stage_order import ENTITY_STAGES, LINK_STAGES, Stages

PACKAGE: Final = "gnnscale"
"""Whose wheel the tasks run."""

ENTRY_POINTS: Final = "gnnscale.job"
"""Group of the package's entry points that has one for each stage, by the stage's name."""

Answers = Literal["links", "entities"]
"""Whether the job's query ranks targets, or gives values or classes of entities."""

Compute = Literal["spark", "gpu", "cpu"]
"""On what a task runs: the executors of Spark, a machine with GPUs, or one without."""

ORDERS: Final[dict[Answers, Stages]] = {"links": LINK_STAGES, "entities": ENTITY_STAGES}


@dataclass(frozen=True)
class JobTask:
    """One task of the job.

    Args:
        name: of the task, of its stage, and of the wheel's entry point.
        description: what it turns into what.
        after: tasks that it waits for.
        compute: on what it runs.
    """

    name: str
    description: str
    after: tuple[str, ...]
    compute: Compute


@dataclass(frozen=True)
class JobParameter:
    """What a run of the job may be given.

    Args:
        name: without spaces.
        default: what a run has that is not given it.
        description: what it decides.
    """

    name: str
    default: str
    description: str


PARAMETERS: Final = (
    JobParameter("catalog", "main", "catalog that holds the schema"),
    JobParameter("schema", "gnnscale", "schema that holds the volume and the registered model"),
    JobParameter("volume", "lake", "volume that holds the lake"),
    JobParameter("recipe", "complete_journey", "name of a recipe, or path of its YAML file"),
    JobParameter("mode", "normal", "fast, normal or best"),
    JobParameter("seed", "0", "of every random choice"),
    JobParameter("experiment", "/Shared/gnnscale", "path of the MLflow experiment"),
    JobParameter("model", "main.gnnscale.predictions", "three-part name that the model is registered by"),
)

ARGUMENTS: Final = (
    "{{job.parameters.recipe}}",
    "seed={{job.parameters.seed}}",
    "lake.uri=/Volumes/{{job.parameters.catalog}}/{{job.parameters.schema}}/{{job.parameters.volume}}/lake",
    "tracking.uri=databricks",
    "tracking.experiment={{job.parameters.experiment}}",
    "tracking.register_as={{job.parameters.model}}",
    "--mode={{job.parameters.mode}}",
)
"""What every task is started with; names in braces are filled in by the platform."""


TIMEOUT_SECONDS: Final = 12 * 3600
"""After which a task is ended."""

RETRIES: Final = 1
"""How often a task that has failed is run again; its stage goes on from what it has committed."""


def job_tasks(answers: Answers) -> list[JobTask]:
    """The tasks of a job, in the order of the pipeline: each waits for the one before.

    Args:
        answers: of its query.
    """
    stages = ORDERS[answers]
    befores: Sequence[tuple[str, ...]] = [(), *((stage.name,) for stage in stages)]
    return [
        JobTask(stage.name, stage.help, before, "spark" if stage.on_spark else "gpu" if stage.on_gpu else "cpu")
        for stage, before in zip(stages, befores, strict=False)
    ]


def job_plan() -> dict[str, Any]:
    """Everything that is said here as plain data, for programs that don't import Python."""
    return {
        "package": PACKAGE,
        "parameters": [vars(parameter) for parameter in PARAMETERS],
        "arguments": list(ARGUMENTS),
        "timeout_seconds": TIMEOUT_SECONDS,
        "retries": RETRIES,
        "tasks": {
            answers: [{**vars(task), "after": list(task.after)} for task in job_tasks(answers)] for answers in ORDERS
        },
    }
