"""Entry points of the wheel, one for each stage: what a platform's job calls by the stage's name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

from gnnscale.cli.main import main
from gnnscale.pipeline import stage_help


def run_stage(name: str) -> None:
    """Run one stage with the arguments that the process was started with.

    Args:
        name: of the stage.

    Raises:
        SystemExit: it has failed; a platform takes any exit for a failure, so that none is raised where all went well.
    """
    if status := main([name, *sys.argv[1:]]):
        raise SystemExit(status)


def __getattr__(name: str) -> Callable[[], None]:
    if name not in stage_help():
        raise AttributeError(f"module 'gnnscale.cli.job' has no attribute '{name}'")
    return partial(run_stage, name)
