"""MLflow runs: parameters, curves, metrics, files; on SQLite in the lake by default."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Metric, Param, RunStatus
from mlflow.exceptions import MlflowException
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from gnnscale.arrays import scratch_folder, temporary_files_in
from gnnscale.config import Settings, TrackingSettings
from gnnscale.lake import Lake, StageRecord
from gnnscale.schema import mask_secrets, mask_text
from gnnscale.tracking.lake_store import ARTIFACTS, DATABASE, open_lake_store

log = logging.getLogger(__name__)

RUN_RECORD = "run_{query}"

BATCH = 100
"""Parameters that MLflow takes at once."""


def tracking_uri(settings: TrackingSettings, lake: Lake) -> str:
    """The configured store, or an SQLite file: in the lake where that is a folder, else in the working folder."""
    if settings.uri:
        return settings.uri
    return open_lake_store(Path(lake.uri)) if lake.local else f"sqlite:///{Path.cwd() / DATABASE}"


def connect(tracking: TrackingSettings, lake: Lake) -> str:
    """Point MLflow at the store and the experiment of the configuration.

    Returns:
        The experiment's id.
    """
    quiet()
    mlflow.set_tracking_uri(tracking_uri(tracking, lake))
    if tracking.uri == "databricks":
        # Names of three parts are in Unity Catalog, and not in the registry of the workspace.
        mlflow.set_registry_uri("databricks-uc")
    found = mlflow.get_experiment_by_name(tracking.experiment)
    if found is not None:
        return str(found.experiment_id)
    location = tracking.artifacts
    if location is None and tracking.uri is None and lake.local:
        location = (Path(lake.uri) / ARTIFACTS).as_uri()
    return str(mlflow.create_experiment(tracking.experiment, artifact_location=location))


class Run:
    """One MLflow run.

    Args:
        run_id: of a run in the store that :func:`connect` named.
    """

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self._client = mlflow.MlflowClient()

    def log_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Record nested settings under dotted names, secrets masked; long values are cut at MLflow's limit."""
        found = [Param(name, str(value)[:6000]) for name, value in _dotted(mask_secrets(parameters))]
        # One at a time would be a transaction each.
        for start in range(0, len(found), BATCH):
            self._client.log_batch(self.run_id, params=found[start : start + BATCH])

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Record figures of one step; ``@`` in a name becomes ``_at_``, as MLflow allows no ``@``."""
        self.log_curve([(step, metrics)])

    def log_curve(self, points: list[tuple[int, Mapping[str, float]]]) -> None:
        """Record figures of many steps in one call."""
        now = mlflow.utils.time.get_current_time_millis()
        values = [
            Metric(name.replace("@", "_at_"), float(value), now, step)
            for step, metrics in points
            for name, value in metrics.items()
            if value == value
        ]
        for start in range(0, len(values), 1000):
            self._client.log_batch(self.run_id, metrics=values[start : start + 1000])

    def log_text(self, text: str, name: str) -> None:
        """Keep a text file with the run, secrets masked."""
        with scratch_folder(None, "text", "") as folder, temporary_files_in(folder):
            self._client.log_text(self.run_id, mask_text(text), name)

    def start_nested(self, name: str) -> Run:
        """A run inside this one; it goes on until :meth:`end`."""
        experiment = self._client.get_run(self.run_id).info.experiment_id
        created = self._client.create_run(experiment, run_name=name, tags={"mlflow.parentRunId": self.run_id})
        return Run(created.info.run_id)

    def log_stage(self, stage: str, record: StageRecord) -> None:
        """Tell what a stage did: a nested run of its name, with its seconds, its words and the tables that it wrote.

        What the stage made is there already; a store that can't be written to is told in a log line.
        """
        ended = mlflow.utils.time.get_current_time_millis()
        tags = {
            "mlflow.parentRunId": self.run_id,
            "mlflow.note.content": mask_text(record.detail),
            "gnnscale.stage": stage,
            "gnnscale.tables": json.dumps(dict(record.versions), sort_keys=True),
        }
        started = ended - int(1000 * record.seconds)
        try:
            experiment = self._client.get_run(self.run_id).info.experiment_id
            created = self._client.create_run(experiment, start_time=started, run_name=stage, tags=tags)
            nested = Run(created.info.run_id)
            nested.log_metrics({"seconds": record.seconds})
            self._client.set_terminated(nested.run_id, RunStatus.to_string(RunStatus.FINISHED), ended)
        except MlflowException as error:
            log.warning("MLflow was not told of the %s stage: %s", stage, error)

    def end(self, failed: bool = False) -> None:
        """Mark the run as finished, or as failed."""
        status = RunStatus.FAILED if failed else RunStatus.FINISHED
        self._client.set_terminated(self.run_id, RunStatus.to_string(status))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Label the run."""
        for key, value in tags.items():
            self._client.set_tag(self.run_id, key, value)


@contextmanager
def start_run(settings: Settings, lake: Lake) -> Iterator[Run]:
    """A new run, which ends with the block; failed where the block raises.

    Its id is kept in the lake, so that later stages add to it.
    """
    name = settings.query.name
    with start_named_run(settings.tracking, lake, f"{settings.recipe}/{name}/seed {settings.seed}", name) as run:
        yield run


@contextmanager
def start_named_run(tracking: TrackingSettings, lake: Lake, title: str, name: str) -> Iterator[Run]:
    """A new run, as :func:`start_run` has it.

    Args:
        tracking: says where.
        lake: keeps its id.
        title: of the run.
        name: that its tables carry.
    """
    experiment = connect(tracking, lake)
    client = mlflow.MlflowClient()
    created = client.create_run(experiment, run_name=title)
    run = Run(created.info.run_id)
    try:
        with _watched_machine(run, tracking.system_seconds):
            yield run
    except BaseException:
        client.set_terminated(run.run_id, RunStatus.to_string(RunStatus.FAILED))
        raise
    client.set_terminated(run.run_id)
    lake.write_record(RUN_RECORD.format(query=name), {"run_id": run.run_id})


@contextmanager
def _watched_machine(run: Run, seconds: float) -> Iterator[None]:
    """Have MLflow look at the machine now and then, in a thread, and keep what it sees with the run."""
    monitor = SystemMetricsMonitor(run.run_id, seconds) if seconds else None
    if monitor:
        monitor.start()
    try:
        yield
    finally:
        if monitor:
            monitor.finish()


def last_run(settings: Settings, lake: Lake) -> Run | None:
    """The run that trained the query last, or None."""
    record = lake.read_record(RUN_RECORD.format(query=settings.query.name))
    if record is None:
        return None
    connect(settings.tracking, lake)
    return Run(record["run_id"])


def quiet() -> None:
    """Keep MLflow's database migrations and hints off the terminal, and errors of its database, which it raises too."""
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="mlflow.*")


def _dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
