"""Ctrl-C and SIGTERM: one line, everything that was started gone within seconds, and the status that says which."""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import signal as set_handler
from types import FrameType
from typing import Any, Final

from gnnscale.schema import GnnscaleError

SECONDS: Final = 7.0
"""After which what has not ended in order is killed."""

AGAIN_SECONDS: Final = 0.05
"""After which an interruption that Python has dropped comes again."""

CHILD_SECONDS: Final = 2.0
"""That processes have to end after they were asked to."""

WORDS: Final = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
"""What a signal did, in a word."""

_HEARD: Final[list[int]] = []
"""Signals that were acted on."""

_TOLD: Final[list[str]] = []
"""What a person was told of how it ended."""

_SUBREAPER: Final = 36
"""Linux's PR_SET_CHILD_SUBREAPER: who loses its parent becomes a child of this process."""


class Interruption(KeyboardInterrupt):
    """What a signal raises in the main thread.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = signal.Signals(number)

    @property
    def status(self) -> int:
        """Exit status by the custom of shells: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.number

    @property
    def line(self) -> str:
        """What a person is told."""
        return f"{WORDS[self.number]}: tables that were committed stay; run again to go on"


def end_by_signals() -> None:
    """Have a SIGINT or SIGTERM end this process at once, with its line and status: for a program of our own, whenever
    nothing is at work that has to end in order, as while modules are loaded.

    At its own end, when all has been done and told, they do nothing.
    """
    if threading.current_thread() is threading.main_thread():
        for number in WORDS:
            set_handler(number, _end_at_once)
        # What is registered before all else is called last. Python takes its handlers away when it then ends.
        atexit.register(_ignore_signals)


def _ignore_signals() -> None:
    for number in WORDS:
        set_handler(number, signal.SIG_IGN)


def _end_at_once(number: int, frame: FrameType | None) -> None:
    _ignore_signals()
    interruption = Interruption(number)
    end_children()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    _tell_directly(interruption.line)
    os._exit(interruption.status)


Cause = Callable[[], tuple[str, int] | None]
"""What a person is told, and the exit status, where something else than a person has interrupted the run."""


@contextmanager
def interruptible(cause: Cause = lambda: None) -> Iterator[None]:
    """Have the first SIGINT or SIGTERM raise :class:`Interruption` in the block, and have later ones do nothing.

    What a library makes of the signals for a while does not count: a thread hears of them too, and where the process
    has not ended :data:`SECONDS` later, kills it and all that it has started.

    Args:
        cause: asked by that thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _HEARD.clear()
    _TOLD.clear()
    before = {number: signal.getsignal(number) for number in WORDS}
    heard, told = socket.socketpair()
    told.setblocking(False)
    wakeup = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_kill_after, args=(heard, cause), daemon=True).start()
    adopt_orphans()
    for number in WORDS:
        set_handler(number, _raise_once)
    shown, sys.unraisablehook = sys.unraisablehook, _raise_again(sys.unraisablehook)
    ends = False
    try:
        yield
    except KeyboardInterrupt:
        # What ends the process now is not to be interrupted again, and is watched to its end.
        ends = True
        _ignore_signals()
        raise
    finally:
        sys.unraisablehook = shown
        if not ends:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                if handler is not None:
                    set_handler(number, handler)
            # Its thread reads the end of the stream, and ends.
            told.close()


def as_interruption(error: KeyboardInterrupt) -> Interruption:
    """What has interrupted the run: libraries that hear of a signal while they wait raise a Ctrl-C of their own."""
    if isinstance(error, Interruption):
        return error
    return Interruption(_HEARD[-1] if _HEARD else signal.SIGINT)


def interruption_behind(error: BaseException) -> Interruption | None:
    """The signal that is behind an error, where one is: what hears of the same signal, such as a JVM that is told to
    end with us, may fail before this process has."""
    if isinstance(error, KeyboardInterrupt):
        return as_interruption(error)
    if signal.SIGTERM in _HEARD:
        return Interruption(signal.SIGTERM)
    # One that watches over lost processes interrupts as Ctrl-C does, and errors of ours say what was lost.
    return Interruption(_HEARD[-1]) if _HEARD and not isinstance(error, GnnscaleError) else None


def _raise_once(number: int, frame: FrameType | None) -> None:
    _HEARD.append(number)
    _ignore_signals()
    raise Interruption(number)


def _raise_again(shown: Callable[[Any], object]) -> Callable[[Any], None]:
    """A hook for errors that nobody can catch: an interruption in a finalizer, say, which Python drops, comes again.

    Args:
        shown: the hook for all others.
    """

    def hook(unraisable: Any) -> None:
        error = unraisable.exc_value
        if not isinstance(error, Interruption):
            shown(unraisable)
            return
        set_handler(error.number, _raise_once)
        # Not from here, where it would be dropped again.
        threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), error.number)).start()

    return hook


def _kill_after(heard: socket.socket, cause: Cause) -> None:
    with heard:
        while said := heard.recv(1):
            if said[0] in WORDS:
                break
        else:
            return
        time.sleep(SECONDS)
    interruption = Interruption(said[0])
    line, status = cause() or (interruption.line, interruption.status)
    end_children(0)
    # Where it was told already, only what comes at the end has taken too long.
    _tell_directly(line)
    os._exit(status)


def tell(line: str) -> None:
    """Tell a person how it ended; what else ends the process does not say so again."""
    _TOLD.append(line)
    print(line, file=sys.stderr, flush=True)


def _tell_directly(line: str) -> None:
    """The same from where a stream may be in use."""
    if not _TOLD:
        with suppress(OSError):
            os.write(2, f"{line}\n".encode())


def adopt_orphans() -> None:
    """Have processes that lose their parent become children of this one, so that none is out of sight."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def end_children(seconds: float = CHILD_SECONDS) -> None:
    """End all processes that this one has started, and those that they have.

    Args:
        seconds: that they have after they were asked to end, before they are killed.
    """
    own = os.getpid()
    for pid in descendants(own):
        _signal(pid, signal.SIGTERM)
    end = time.monotonic() + seconds
    while time.monotonic() < end and descendants(own):
        time.sleep(0.05)
        _reap()
    # What is killed may have started others just before.
    for _ in range(3):
        for pid in descendants(own):
            _signal(pid, signal.SIGKILL)
        _reap()


def descendants(root: int) -> list[int]:
    """Processes that a process has started, and those that they have; those that have ended left out."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = entry.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                children.setdefault(int(parent), []).append(int(entry.parent.name))
    found, queue = [], [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def _reap() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
