"""What is done to a run: signals, lost processes and full disks."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import command_line, descendants

ON_SPARK, ON_RAY = ("graph", "labels"), ("train",)


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Args:
        name: in the table.
        strike: does it, to the process of the run; says whether there was something to do it to.
        statuses: that the run may end with.
        stages: in which there is something to do it to; empty for all.
        full: which disk is full, ``lake`` or ``tmp``; empty for none.
    """

    name: str
    strike: Callable[[int], bool]
    statuses: tuple[int, ...]
    stages: Sequence[str] = ()
    full: str = ""

    def suits(self, stage: str) -> bool:
        """Whether there is something to do it to in a stage."""
        return not self.stages or stage in self.stages


def send(number: int, times: int = 1) -> Callable[[int], bool]:
    """A signal to the process of the run, as often as somebody loses patience."""

    def strike(pid: int) -> bool:
        for _ in range(times):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
            time.sleep(0.3 if times > 1 else 0)
        return True

    return strike


def pause(pid: int) -> bool:
    """Stop the process for some seconds, and let it go on."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(3)
        os.kill(pid, signal.SIGCONT)
    return True


def kill_below(word: str) -> Callable[[int], bool]:
    """Kill a process that the run has started, by a word of its command."""

    def strike(pid: int) -> bool:
        for below in descendants([pid]):
            command = command_line(below)
            if command and word in Path(command[0]).name + " " + " ".join(command[1:3]):
                with suppress(ProcessLookupError):
                    os.kill(below, signal.SIGKILL)
                    return True
        return False

    return strike


def nothing(pid: int) -> bool:
    """The disk fills by itself."""
    return True


FAULTS = (
    Fault("kill", send(signal.SIGKILL), (-9,)),
    Fault("terminate", send(signal.SIGTERM), (143,)),
    Fault("interrupt", send(signal.SIGINT), (130,)),
    Fault("interrupt three times", send(signal.SIGINT, 3), (130,)),
    Fault("stop and go on", pause, (0,)),
    Fault("kill the JVM", kill_below("java"), (1,), ON_SPARK),
    Fault("kill the raylet", kill_below("raylet"), (1,), ON_RAY),
    Fault("kill the GCS", kill_below("gcs_server"), (1,), ON_RAY),
    Fault("full disk of the lake", nothing, (2,), (), "lake"),
    Fault("full temporary disk", nothing, (2,), (), "tmp"),
)
