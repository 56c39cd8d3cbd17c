"""Why a run is ending, for an entry point that has no time left to wait for it."""

from __future__ import annotations

from gnnscale.pipeline import workers
from gnnscale.pipeline.failures import lost_process
from gnnscale.schema import LostProcessError


def find_loss() -> LostProcessError | None:
    """The error for a process of Ray's that is gone, where that is why the main thread was interrupted."""
    lost = workers.find_lost()
    return lost_process(*lost) if lost else None
