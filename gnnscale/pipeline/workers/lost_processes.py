"""Whether Ray's own processes of this machine live: without them, calls wait for good, or end this process."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import psutil

from gnnscale.pipeline.failures import end_in_words, is_full

NEEDED: Final = {"gcs_server": "Ray's GCS", "raylet": "Ray's raylet"}
"""Processes without which a Ray of our own can't go on, and what they are called."""

LOOK_SECONDS: Final = 0.25

FULL_LOOKS: Final = 20
"""After which a disk that has been full at each of them counts: Ray's processes end where they can't write, and Ray
starts others for as long as it takes."""

_LOCK: Final = threading.Lock()

_LOST: Final[list[tuple[str, str]]] = []
"""What the watch has found; when that is asked for, Ray has been left."""


def find_lost() -> tuple[str, str] | None:
    """Name and end of a process that a Ray which was begun here needs and that is gone; None where all live."""
    if _LOST:
        return _LOST[0]
    for kind, process in [] if (node := _find_node()) is None else node.dead_processes():
        if kind in NEEDED:
            return NEEDED[kind], end_in_words(process.poll())
    return None


def _find_node() -> Any:
    """Ray's own account of the processes that it has begun here; None before they have all begun."""
    ray = sys.modules.get("ray")
    return None if ray is None else ray._private.worker._global_node


class _Beginning:
    """Looks after Ray while it begins: its processes are children of this one, and known to nobody else."""

    def __init__(self) -> None:
        self._before = {child.pid for child in psutil.Process().children()}
        self._seen: dict[int, str] = {}

    def find_lost(self) -> tuple[str, str] | None:
        """As :func:`find_lost`, until Ray itself can tell."""
        if _find_node() is not None:
            return None
        living = set()
        for child in psutil.Process().children():
            with suppress(psutil.Error):
                if child.pid not in self._before and (name := child.name()) in NEEDED:
                    self._seen[child.pid] = name
                    living |= set() if child.status() == psutil.STATUS_ZOMBIE else {child.pid}
        for pid, kind in self._seen.items():
            # All of Ray may have begun meanwhile.
            if pid not in living and _find_node() is None:
                return NEEDED[kind], end_in_words(_status_of(pid))
        return None


def _status_of(pid: int) -> int | None:
    """Return code of a child that has ended, left for who waits for it; None where it has been waited for."""
    with suppress(ChildProcessError):
        if (end := os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            return end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
    return None


@contextmanager
def watched() -> Iterator[None]:
    """Interrupt the main thread, as Ctrl-C does, when one of those processes is gone or their disk is full.

    It would wait for a minute, or for good.
    """
    _LOST.clear()
    if threading.current_thread() is not threading.main_thread():
        # Whoever runs in the main thread does not wait for Ray.
        yield
        return
    done, before = threading.Event(), signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        # A script's shell has what it puts into the background ignore Ctrl-C, and so would this thread.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_watch, args=(done, _Beginning()), daemon=True).start()
    try:
        yield
    finally:
        # What is found from now on interrupts nobody.
        with _LOCK:
            done.set()
        if before is signal.SIG_IGN:
            signal.signal(signal.SIGINT, before)


def _watch(done: threading.Event, beginning: _Beginning) -> None:
    full = 0
    while not done.wait(LOOK_SECONDS):
        full = full + 1 if is_full(tempfile.gettempdir()) else 0
        lost = ("room on the disk of TMPDIR", "it is full") if full == FULL_LOOKS else find_lost()
        lost = lost or beginning.find_lost()
        if lost is not None:
            with _LOCK:
                if not done.is_set():
                    _LOST.append(lost)
                    _thread.interrupt_main(signal.SIGINT)
            return
