"""Processes of Ray's actors and workers, which some tests kill."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def actor_processes(name: str, ours: bool = True) -> list[int]:
    """Processes whose title names an actor's class.

    Args:
        name: of the class.
        ours: only those under this process; other tests may have theirs at the same time. Those of a driver that was
            killed are under nobody.
    """
    parents, titles = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                titles[int(entry.name)] = (entry / "cmdline").read_bytes()

    def under_us(process: int) -> bool:
        return process == os.getpid() or (process in parents and under_us(parents[process]))

    found = (p for p, title in titles.items() if title.startswith(b"ray::") and name.encode() in title)
    return sorted(p for p in found if not ours or under_us(p))
