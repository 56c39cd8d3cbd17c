"""Entry points of the wheel, one for each stage: what a platform's job calls by the stage's name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points

from gnnscale.cli.interruption import end_by_signals
from gnnscale.cli.main import main


def run_stage(name: str) -> None:
    """Run one stage with the arguments that the process was started with.

    Args:
        name: of the stage.

    Raises:
        SystemExit: it has failed; a platform takes any exit for a failure, so that none is raised where all went well.
    """
    end_by_signals()
    if status := main([name, *sys.argv[1:]]):
        raise SystemExit(status)


def __getattr__(name: str) -> Callable[[], None]:
    # Loading the stages themselves takes seconds.
    if name not in entry_points(group="gnnscale.job").names:
        raise AttributeError(f"module 'gnnscale.cli.job' has no attribute '{name}'")
    return partial(run_stage, name)
