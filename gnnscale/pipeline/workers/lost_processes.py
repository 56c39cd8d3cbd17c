"""Whether Ray's own processes of this machine live: without them, calls wait for good, or end this process."""

from __future__ import annotations

import _thread
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from gnnscale.pipeline.failures import end_in_words, is_full

NEEDED: Final = {"gcs_server": "Ray's GCS", "raylet": "Ray's raylet"}
"""Processes without which a Ray of our own can't go on, and what they are called."""

LOOK_SECONDS: Final = 0.25

FULL_LOOKS: Final = 20
"""After which a disk that has been full at each of them counts: Ray's processes end where they can't write, and Ray
starts others for as long as it takes."""

_LOST: Final[list[tuple[str, str]]] = []
"""What the watch has found; when that is asked for, Ray has been left."""


def find_lost() -> tuple[str, str] | None:
    """Name and end of a process that a Ray which was begun here needs and that is gone; None where all live."""
    if _LOST:
        return _LOST[0]
    ray = sys.modules.get("ray")
    node: Any = None if ray is None else ray._private.worker._global_node
    if node is None:
        return None
    for kind, process in node.dead_processes():
        if kind in NEEDED:
            return NEEDED[kind], end_in_words(process.poll())
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
    threading.Thread(target=_watch, args=(done,), daemon=True).start()
    try:
        yield
    finally:
        done.set()
        if before is signal.SIG_IGN:
            signal.signal(signal.SIGINT, before)


def _watch(done: threading.Event) -> None:
    full = 0
    while not done.wait(LOOK_SECONDS):
        full = full + 1 if is_full(tempfile.gettempdir()) else 0
        lost = ("room on the disk of TMPDIR", "it is full") if full == FULL_LOOKS else find_lost()
        if lost is not None:
            _LOST.append(lost)
            _thread.interrupt_main(signal.SIGINT)
            return
