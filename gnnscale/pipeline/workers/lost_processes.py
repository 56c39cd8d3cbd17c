"""Whether Ray's own processes of this machine live: without them, calls wait for good, or end this process."""

from __future__ import annotations

import _thread
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from gnnscale.pipeline.failures import end_in_words, is_full

NEEDED: Final = {"gcs_server": "Ray's GCS", "raylet": "Ray's raylet"}
"""Processes without which a Ray of our own can't go on, and what they are called."""

LOOK_SECONDS: Final = 0.25

PORT_MS, TURN_MS = 30_000, 100
"""That Ray waits for its GCS to tell where it listens, all in all and at once."""

FULL_LOOKS: Final = 20
"""After which a disk that has been full at each of them counts: Ray's processes end where they can't write, and Ray
starts others for as long as it takes."""

_BEGUN: Final[list[tuple[str, Any]]] = []
"""Kind of each process that Ray has begun, and the process, while it begins."""

_LOCK: Final = threading.Lock()

_LOST: Final[list[tuple[str, str]]] = []
"""What the watch has found; when that is asked for, Ray has been left."""


def find_lost() -> tuple[str, str] | None:
    """Name and end of a process that a Ray which was begun here needs and that is gone; None where all live."""
    if _LOST:
        return _LOST[0]
    ray = sys.modules.get("ray")
    node: Any = None if ray is None else ray._private.worker._global_node
    # Ray knows of its processes once all have begun.
    ended = node.dead_processes() if node is not None else [one for one in _BEGUN if one[1].poll() is not None]
    for kind, process in ended:
        if kind in NEEDED:
            return NEEDED[kind], end_in_words(process.poll())
    return None


@contextmanager
def noted_processes() -> Iterator[None]:
    """Note the processes that Ray begins in the block: one may be gone before all have begun, and is missed, too."""
    services: Any = sys.modules["ray._private.services"]
    node: Any = sys.modules["ray._private.node"]
    start, wait = services.start_ray_process, node.wait_for_persisted_port

    def start_noted(command: Any, process_type: str, *given: Any, **named: Any) -> Any:
        begun = start(command, process_type, *given, **named)
        _BEGUN.append((process_type, begun.process))
        return begun

    def wait_in_turns(*given: Any, timeout_ms: int = PORT_MS, **named: Any) -> Any:
        # No other thread runs while it waits, nor is it interrupted: half a minute for a process that is gone.
        end = time.monotonic() + timeout_ms / 1000
        while True:
            try:
                return wait(*given, timeout_ms=min(timeout_ms, TURN_MS), **named)
            except RuntimeError:
                if time.monotonic() >= end:
                    raise

    services.start_ray_process, node.wait_for_persisted_port = start_noted, wait_in_turns
    try:
        yield
    finally:
        services.start_ray_process, node.wait_for_persisted_port = start, wait
        _BEGUN.clear()


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
        # What is found from now on interrupts nobody.
        with _LOCK:
            done.set()
        if before is signal.SIG_IGN:
            signal.signal(signal.SIGINT, before)


def _watch(done: threading.Event) -> None:
    full = 0
    while not done.wait(LOOK_SECONDS):
        full = full + 1 if is_full(tempfile.gettempdir()) else 0
        lost = ("room on the disk of TMPDIR", "it is full") if full == FULL_LOOKS else find_lost()
        if lost is not None:
            with _LOCK:
                if not done.is_set():
                    _LOST.append(lost)
                    _thread.interrupt_main(signal.SIGINT)
            return
