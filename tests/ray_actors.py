"""Processes of Ray's actors and workers, which some tests kill."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from tests.cluster import command_line, descendants


def actor_processes(name: str, under: int | None = None) -> list[int]:
    """Processes whose title names an actor's class; other tests may have theirs at the same time.

    Args:
        name: of the class.
        under: the process that they are under; None: this one.
    """
    return sorted(process for process in descendants([under or os.getpid()]) if _is_actor(process, name))


def wait_for_end(processes: Sequence[int], name: str, seconds: float = 120) -> None:
    """Until none of these runs as an actor of this class."""
    end = time.monotonic() + seconds
    while left := [process for process in processes if _is_actor(process, name)]:
        assert time.monotonic() < end, left
        time.sleep(0.1)


def _is_actor(process: int, name: str) -> bool:
    title = command_line(process)[0:1]
    return bool(title) and title[0].startswith("ray::") and name in title[0]
