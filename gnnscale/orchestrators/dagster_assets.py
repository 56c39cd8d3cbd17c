"""Assets of Dagster, one a stage: each runs its stage here or elsewhere, and tells what it has made."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from gnnscale.config import Settings, load_settings
from gnnscale.evaluation import MODEL
from gnnscale.lake import StageRecord, count_rows, find_source
from gnnscale.pipeline import (
    EVALUATION,
    Answers,
    JobTask,
    Pipeline,
    PipelineContext,
    Submit,
    job_tasks,
    prepare_environment,
    report_path,
)
from gnnscale.schema import ConfigError, GnnscaleError, LostProcessError, mask_text
from gnnscale.tracking import kept_store, last_run

try:
    import dagster
except ModuleNotFoundError:
    raise ConfigError("assets of Dagster want it installed: pip install 'gnnscale[dagster]'") from None


def stage_assets(
    recipe: str,
    overrides: Sequence[str] = (),
    mode: str | None = None,
    folder: Path | None = None,
    answers: Answers = "links",
    submit: Submit | None = None,
) -> list[dagster.AssetsDefinition]:
    """The stages of a recipe as assets, each of which waits for the one before.

    Their keys are ``<recipe>/<stage>``; the last, which evaluates, is ``<recipe>/predictions_<query>``, and has the
    table's place, version and rows, and the model's metrics as metadata. Every other has what was done, the seconds,
    and the tables that it wrote with their versions. A stage whose inputs have not changed is skipped, and one that is
    run again goes on from what it has committed.

    Args:
        recipe: name of a recipe, or path of its YAML file.
        overrides: ``key=value``.
        mode: ``fast``, ``normal`` or ``best``; default: as the recipe is.
        folder: configuration folder; default: the one that ships with gnnscale.
        answers: whether the query ranks targets, or gives values or classes of entities.
        submit: runs the stages elsewhere (:class:`~gnnscale.pipeline.RayJobs`,
            :class:`~gnnscale.pipeline.DatabricksJob`), and only their results are read here; default: this process
            runs them.

    Raises:
        ConfigError: there is no such recipe, or it is at fault.
    """

    def read() -> Settings:
        return load_settings(recipe, overrides, folder, mode)

    settings, tasks = read(), job_tasks(answers)
    prefix, last = _word(settings.recipe), tasks[-1]
    names = {task.name: task.name for task in tasks} | {last.name: f"predictions_{settings.query.name}"}

    def run(stage: str) -> dict[str, Any]:
        if submit is None:
            return _run_stage(read(), stage, stage == last.name)
        submit(stage, recipe, overrides, mode)
        return _read_stage(read(), stage, stage == last.name)

    return [_asset(task, prefix, names, run) for task in tasks]


def _asset(
    task: JobTask, prefix: str, names: dict[str, str], run_stage: Callable[[str], dict[str, Any]]
) -> dagster.AssetsDefinition:
    @dagster.asset(
        name=names[task.name],
        key_prefix=[prefix],
        deps=[dagster.AssetKey([prefix, names[name]]) for name in task.after],
        description=task.description,
        group_name=prefix,
        kinds={task.compute},
    )
    def run() -> dagster.MaterializeResult:
        try:
            return dagster.MaterializeResult(metadata=run_stage(task.name))
        except GnnscaleError as error:
            # What a process was killed in may go well again; what somebody has to change will not.
            again = isinstance(error, LostProcessError)
            raise dagster.Failure(mask_text(str(error)), allow_retries=again) from None

    return run


def _run_stage(settings: Settings, stage: str, is_last: bool) -> dict[str, Any]:
    """Run a stage, and say of it what Dagster keeps."""
    prepare_environment()
    work = PipelineContext(settings, Console(quiet=True))
    with kept_store(), Pipeline(work, None if stage == "graph" else work.query) as pipeline:
        record = pipeline.run_one(stage)
        return _told(record) | (_predictions(work) if is_last else {})


def _read_stage(settings: Settings, stage: str, is_last: bool) -> dict[str, Any]:
    """The same of a stage that has run elsewhere; the lake is all that is looked at, for sources may be there alone."""
    work = PipelineContext(settings, Console(quiet=True), read_only=True)
    with kept_store(), Pipeline(work, work.query) as pipeline:
        record = pipeline.last_record(stage)
        return _told(record) | (_predictions(work) if is_last else {})


def _told(record: StageRecord) -> dict[str, Any]:
    return {"done": mask_text(record.detail), "seconds": record.seconds, "tables": dict(record.versions)}


def _predictions(work: PipelineContext) -> dict[str, Any]:
    """Of the table of predictions and of what the evaluation has found."""
    name, lake, options = work.settings.query.name, work.lake, work.lake.storage_options
    table = f"predictions_{name}"
    evaluation = lake.read_record(EVALUATION.format(query=name)) or {"rows": [], "metrics": []}
    told: dict[str, Any] = {
        "dagster/uri": mask_text(lake.table_uri(table)),
        "dagster/row_count": count_rows(find_source(table, lake.table_uri(table), options), options),
        "version": lake.version(table),
        "report": mask_text(f"{lake.uri}/{report_path(name)}"),
    }
    for row in evaluation["rows"]:
        if (row["method"], row["among"]) == (MODEL, "all"):
            found = {metric["name"]: row.get(metric["name"]) for metric in evaluation["metrics"]}
            told |= {metric: value for metric, value in found.items() if value is not None}
    run = last_run(work.settings, lake)
    return told | ({"mlflow_run": run.run_id} if run else {})


def _word(text: str) -> str:
    """A text as part of an asset's key."""
    return re.sub(r"\W", "_", text)
