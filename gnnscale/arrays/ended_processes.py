"""Processes that work in a folder whose owner was killed."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def end_processes(folder: Path) -> None:
    """Kill this user's processes whose command names a folder, or something in it.

    Args:
        folder: a private one that nobody owns any more; its name is of no other.
    """
    name = os.fsencode(folder)
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if entry.stat().st_uid == os.getuid() and name in entry.read_bytes():
                os.kill(int(entry.parent.name), signal.SIGKILL)
