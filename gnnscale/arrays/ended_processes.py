"""Processes that work in a folder whose owner was killed."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def end_processes(folder: Path) -> None:
    """Kill this user's processes, but for this one, whose command names a folder, or something in it, or that write to
    a file there: Ray's agents and workers give themselves other names.

    Args:
        folder: a private one that nobody owns any more; its name is of no other.
    """
    name, place = os.fsencode(folder), os.fsencode(os.path.realpath(folder))
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            own = process.stat().st_uid == os.getuid() and process.name != str(os.getpid())
            if own and (name in (process / "cmdline").read_bytes() or _writes_in(place, process)):
                os.kill(int(process.name), signal.SIGKILL)


def _writes_in(place: bytes, process: Path) -> bool:
    """Whether a process has a file of a folder open to write to."""
    for file in (process / "fd").iterdir():
        with suppress(OSError):
            if os.fsencode(os.readlink(file)).startswith(place + b"/"):
                lines = (process / "fdinfo" / file.name).read_text().splitlines()
                flags = next(int(line.split()[1], 8) for line in lines if line.startswith("flags:"))
                if flags & os.O_ACCMODE != os.O_RDONLY:
                    return True
    return False
