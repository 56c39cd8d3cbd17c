"""Processes that work in a folder whose owner was killed."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def end_processes(folder: Path) -> None:
    """Kill this user's processes, but for this one, whose command names a folder, or something in it, or whose output
    goes there: workers of Ray give themselves other names.

    Args:
        folder: a private one that nobody owns any more; its name is of no other.
    """
    name, place = os.fsencode(folder), os.fsencode(os.path.realpath(folder))
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            own = process.stat().st_uid == os.getuid() and process.name != str(os.getpid())
            if own and (name in (process / "cmdline").read_bytes() or _writes_to(place, process)):
                os.kill(int(process.name), signal.SIGKILL)


def _writes_to(place: bytes, process: Path) -> bool:
    """Whether the output of a process, or its errors, go to a folder."""
    for stream in ("1", "2"):
        with suppress(OSError):
            if os.fsencode(os.readlink(process / "fd" / stream)).startswith(place + b"/"):
                return True
    return False
