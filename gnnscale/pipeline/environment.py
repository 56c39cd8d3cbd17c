"""Variables that Ray, MLflow and torch's threads read when they are imported; set by entry points alone."""

from __future__ import annotations

import os
from typing import Final

VARIABLES: Final = {
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    # How often Ray Train looks at its workers, who wait at their start, at checkpoints and at their end until it does.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    # A process that only tells of machines which are about to be taken away; workers that are lost are noticed anyway.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    # Processes that nobody has asked for yet, and that need not fit what is asked for.
    "RAY_prestart_worker_first_driver": "0",
    # Its handler would take Ctrl-C for the end of the search, and choose from what there is.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


def prepare_environment() -> None:
    """Set what an entry point sets for a run; what is set already stands."""
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
    # How long a thread of torch spins where it waits for the others. By default it is up to a millisecond, in which one
    # that something else has put off a core is not let back: a step takes ten times as long beside any busy process.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "5000")
