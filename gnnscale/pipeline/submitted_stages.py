"""Stages that run elsewhere: as jobs that a Ray takes, or as tasks of a job on Databricks."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

from gnnscale.pipeline.job_plan import TIMEOUT_SECONDS
from gnnscale.schema import ConfigError, GnnscaleError, LostProcessError

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

LOOK_SECONDS: Final = 1.0
"""Between two looks at a job."""

START_SECONDS: Final = 180
"""That a cluster may take until it can start jobs."""

FAULT: Final = 2
"""Exit status of a command that was given something at fault."""

_NO_AGENT: Final = "No available agent"
_ERROR: Final = "error: "
"""What the line begins with that says why a command has failed."""


class Submit(Protocol):
    """Runs a stage elsewhere, to its end."""

    def __call__(self, stage: str, recipe: str, overrides: Sequence[str], mode: str | None) -> None:
        """Run it.

        Args:
            stage: its name.
            recipe: name of a recipe, or path of its YAML file, where the stage runs.
            overrides: ``key=value``.
            mode: ``fast``, ``normal`` or ``best``; None: as the recipe is.

        Raises:
            GnnscaleError: what the stage was given is at fault.
            LostProcessError: it was stopped or killed, and may go well again.
        """


class RayJobs:
    """Stages as jobs of a Ray: ``ray job submit -- python -m gnnscale.cli.main STAGE RECIPE ...``.

    Args:
        address: of its dashboard, such as ``http://head:8265``. Its token is ``RAY_AUTH_TOKEN`` of the
            environment when a stage is submitted, else the one that this process's Ray has found.
        python: command of the interpreter there that has gnnscale.
        runtime_env: Ray's description of what a job brings with it, such as ``{"working_dir": "."}``.
    """

    def __init__(self, address: str, python: str = "python", runtime_env: Mapping[str, Any] | None = None) -> None:
        self.address, self.python, self.runtime_env = address, python, dict(runtime_env or {})

    def __call__(self, stage: str, recipe: str, overrides: Sequence[str], mode: str | None) -> None:
        """As in :class:`Submit`."""
        from ray.job_submission import JobStatus, JobSubmissionClient

        words = [self.python, "-m", "gnnscale.cli.main", stage, recipe, *overrides, *(["--mode", mode] if mode else [])]
        # Ray keeps the first token that a process had, be it another cluster's.
        token = os.environ.get("RAY_AUTH_TOKEN")
        headers = {"Authorization": f"Bearer {token}"} if token else None
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                client = JobSubmissionClient(self.address, headers=headers)
                job = client.submit_job(entrypoint=shlex.join(words), runtime_env=self.runtime_env)
                break
            except (ConnectionError, RuntimeError, ModuleNotFoundError) as error:
                # A cluster that has just begun has a dashboard before it has what starts jobs.
                if _NO_AGENT in str(error) and time.monotonic() < end:
                    time.sleep(LOOK_SECONDS)
                    continue
                raise LostProcessError(f"Ray at {self.address} takes no jobs: {str(error).splitlines()[0]}") from None
        try:
            while not client.get_job_status(job).is_terminal():
                time.sleep(LOOK_SECONDS)
        except BaseException:
            client.stop_job(job)
            raise
        found = client.get_job_info(job)
        if found.status is JobStatus.SUCCEEDED:
            return
        said = [line for line in client.get_job_logs(job).splitlines() if line.startswith(_ERROR)]
        why = said[-1].removeprefix(_ERROR) if said else str(found.message or found.status)
        kind = GnnscaleError if found.driver_exit_code == FAULT else LostProcessError
        raise kind(f"{stage}: {why} (job {job})")


class DatabricksJob:
    """Stages as tasks of one job that is there, such as the one of ``terraform/`` or of the bundle.

    The job says where the lake is, by its own parameters: overrides are for what reads the lake here, and have to name
    the same.

    Args:
        job_id: of the job, each of whose tasks has the name of its stage.
        parameters: of the job, by their names; ``recipe`` and ``mode`` are filled in.
        client: of the workspace; default: as the environment or a profile says.
    """

    def __init__(
        self, job_id: int, parameters: Mapping[str, str] | None = None, client: WorkspaceClient | None = None
    ) -> None:
        self.job_id, self.parameters, self._client = job_id, dict(parameters or {}), client

    def __call__(self, stage: str, recipe: str, overrides: Sequence[str], mode: str | None) -> None:
        """As in :class:`Submit`."""
        from databricks.sdk import WorkspaceClient
        from databricks.sdk.errors import DatabricksError, OperationFailed
        from databricks.sdk.service.jobs import RunResultState

        client = self._client or WorkspaceClient()
        given = {"recipe": recipe, **({"mode": mode} if mode else {}), **self.parameters}
        try:
            waiting = client.jobs.run_now(self.job_id, only=[stage], job_parameters=given)
        except DatabricksError as error:
            raise ConfigError(f"{stage}: job {self.job_id} can't be run: {error}") from None
        try:
            run = waiting.result(timedelta(seconds=TIMEOUT_SECONDS))
        except (OperationFailed, TimeoutError) as error:
            raise LostProcessError(f"{stage}: {error} (run {waiting.run_id})") from None
        except BaseException:
            client.jobs.cancel_run(waiting.run_id)
            raise
        state = run.state
        if state and state.result_state is RunResultState.SUCCESS:
            return
        tasks = [task.run_id for task in run.tasks or [] if task.run_id]
        why = (client.jobs.get_run_output(tasks[-1]).error if tasks else None) or (state and state.state_message)
        # The platform does not tell what kind of error a task has ended with, and has tried again itself.
        raise GnnscaleError(f"{stage}: {why or 'the task has failed'} (run {run.run_id})")
