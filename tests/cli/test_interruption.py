"""Ctrl-C and SIGTERM end a process and all that it has started, with one line and the status that says which."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gnnscale.arrays.kept_signals import KEPT, kept_signals
from gnnscale.cli.interruption import SECONDS
from tests.cluster import ROOT

PROGRAM = """
import argparse, os, signal, subprocess, sys, time
from gnnscale.cli import command_line, main as cli

def work(options):
    # One that hears of nothing, with a child of its own, and one that nobody is the parent of.
    subprocess.Popen(["sh", "-c", "trap '' INT TERM; sleep 600 & sleep 600"])
    subprocess.Popen(["sh", "-c", "sleep 600 &"]).wait()
    {before}
    print("ready", flush=True)
    {work}

class Parser:
    def parse_known_args(self, arguments):
        return argparse.Namespace(handle=work, overrides=[]), []

command_line.build_parser = Parser
sys.exit(cli.main([]))
"""

WAITS = "time.sleep(600)"
AS_CTRL_C = "try:\n        time.sleep(600)\n    except KeyboardInterrupt:\n        raise KeyboardInterrupt from None"
SLOW = "Slow = type('Slow', (), {'__del__': lambda self: time.sleep(3)})"
FINALIZES = f"{SLOW}\n    for _ in range(3): Slow()\n    time.sleep(600)"
HANGS = "try:\n        time.sleep(600)\n    finally:\n        time.sleep(600)"
TAKEN = "signal.signal(signal.SIGINT, lambda *a: None); signal.signal(signal.SIGTERM, lambda *a: None)"


def interrupted(tmp_path: Path, number: int, times: int, work: str, before: str = "pass") -> tuple[int, str, float]:
    """Status, standard error and seconds of a program that gets a signal; nothing of it may be left."""
    mark = f"MARK={tmp_path}"
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(work=work, before=before)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MARK": str(tmp_path)},
        start_new_session=True,
    )
    assert process.stdout.readline() == "ready\n"
    started = time.monotonic()
    for _ in range(times):
        process.send_signal(number)
        time.sleep(0.2)
    _, said = process.communicate(timeout=60)
    seconds = time.monotonic() - started
    left = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in entry.read_bytes().split(b"\0"):
                left.append(entry.parent.name)
        except OSError:
            continue
    assert not left
    return process.returncode, said, seconds


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_signal_or_three_end_it_in_a_line(tmp_path: Path, number: int, status: int) -> None:
    found, said, _ = interrupted(tmp_path, number, 3, WAITS)
    word = "interrupted" if status == 130 else "terminated"
    assert (found, said) == (status, f"{word}: tables that were committed stay; run again to go on\n")


def test_sigterm_that_a_library_raises_as_ctrl_c_stays_sigterm(tmp_path: Path) -> None:
    found, said, _ = interrupted(tmp_path, signal.SIGTERM, 1, AS_CTRL_C)
    assert found == 143 and said.startswith("terminated: ")


AS_ITS_OWN = AS_CTRL_C.replace("raise KeyboardInterrupt", "raise OSError('Java side is empty')")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_fails_by_the_same_signal_is_no_error_of_its_own(tmp_path: Path, number: int, status: int) -> None:
    found, said, _ = interrupted(tmp_path, number, 1, AS_ITS_OWN)
    assert found == status and said.count("\n") == 1 and said.endswith("run again to go on\n")


def test_what_python_drops_in_a_finalizer_comes_again(tmp_path: Path) -> None:
    found, said, seconds = interrupted(tmp_path, signal.SIGTERM, 1, FINALIZES)
    assert (found, said) == (143, "terminated: tables that were committed stay; run again to go on\n")
    assert seconds < SECONDS


AT_EXIT = "import atexit; atexit.register(time.sleep, 600)"


@pytest.mark.parametrize(
    ("work", "before"),
    [(HANGS, "pass"), (WAITS, TAKEN), (WAITS, AT_EXIT)],
    ids=["hangs", "handler is taken", "hangs at exit"],
)
def test_what_does_not_end_in_order_is_killed(tmp_path: Path, work: str, before: str) -> None:
    found, said, _ = interrupted(tmp_path, signal.SIGTERM, 1, work, before)
    assert found == 143 and said == "terminated: tables that were committed stay; run again to go on\n"


LOADS = """
import builtins, sys, time
real = builtins.__import__

def load(name, *rest):
    if name == "{name}":
        print("ready", flush=True)
        time.sleep(60)
    return real(name, *rest)

builtins.__import__ = load
from gnnscale.cli.main import main
sys.argv[1:] = ["run", "interactions"]
sys.exit(main())
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("name", ["argparse", "gnnscale.pipeline"])
def test_a_signal_while_modules_are_loaded_ends_it_in_a_line(number: int, status: int, name: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", LOADS.format(name=name)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    word = "interrupted" if status == 130 else "terminated"
    assert (process.returncode, said) == (status, f"{word}: tables that were committed stay; run again to go on\n")


def test_libraries_set_no_handlers_where_they_are_kept() -> None:
    def of_a_library(number: int, frame: object) -> None:
        sys.exit(number)

    before = [signal.getsignal(number) for number in KEPT]
    usual = signal.getsignal(signal.SIGUSR1)
    with kept_signals():
        for number in (*KEPT, signal.SIGUSR1):
            signal.signal(number, of_a_library)
        assert [signal.getsignal(number) for number in KEPT] == before
        assert signal.getsignal(signal.SIGUSR1) is of_a_library
    signal.signal(signal.SIGUSR1, usual)
    signal.signal(signal.SIGTERM, of_a_library)
    assert signal.getsignal(signal.SIGTERM) is of_a_library
    signal.signal(signal.SIGTERM, before[1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_when_all_is_done_changes_nothing(number: int) -> None:
    # Modules are cleared when Python has taken its handlers away.
    program = f"""
import atexit, os
from gnnscale.cli.interruption import end_by_signals
end_by_signals()
class Last:
    def __del__(self, kill=os.kill, pid=os.getpid(), write=os.write):
        kill(pid, {int(number)})
        write(1, b"lives")
last = Last()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "lives", "")
