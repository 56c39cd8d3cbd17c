"""Processes that work in a folder whose owner was killed."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

LOCKS: Final = (b"lock", b"unlocked")
"""Files of a folder that whoever looks for its owner opens, too."""


def end_processes(folder: Path, left: bool = False) -> None:
    """Kill this user's processes, but for this one, whose command names a folder, or something in it.

    Args:
        folder: a private one that nobody works in any more; its name is of no other.
        left: whether its owner was killed: then those go, too, that write to a file there, as Ray's agents and workers
            do, which give themselves other names. While it lives, these may be its forks.
    """
    name, place = os.fsencode(folder), os.fsencode(os.path.realpath(folder))
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            own = process.stat().st_uid == os.getuid() and process.name != str(os.getpid())
            if own and (name in (process / "cmdline").read_bytes() or (left and _writes_in(place, process))):
                os.kill(int(process.name), signal.SIGKILL)


def _writes_in(place: bytes, process: Path) -> bool:
    """Whether a process has a file of a folder open to write to."""
    locks = [place + b"/" + name for name in LOCKS]
    for file in (process / "fd").iterdir():
        with suppress(OSError):
            opened = os.fsencode(os.readlink(file))
            if opened.startswith(place + b"/") and opened not in locks:
                lines = (process / "fdinfo" / file.name).read_text().splitlines()
                flags = next(int(line.split()[1], 8) for line in lines if line.startswith("flags:"))
                if flags & os.O_ACCMODE != os.O_RDONLY:
                    return True
    return False
