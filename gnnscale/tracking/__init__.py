"""Logging, progress and MLflow."""

from gnnscale.tracking.console import Bar, configure_logging, progress_bar
from gnnscale.tracking.runs import Run, connect, last_run, start_run

__all__ = ["Bar", "Run", "configure_logging", "connect", "last_run", "progress_bar", "start_run"]
