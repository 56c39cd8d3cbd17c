"""Runs of one stage in a process of its own, what they leave behind, and what their tables hold."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from gnnscale.lake import Lake
from tests.cluster import ROOT

LEFT_IN_TMP = ("ray", "spark", "blockmgr-*", "artifacts-*", "session_*", "tmp*")
LEFT_IN_LAKE = ("_checkpoints*", ".mlflow.db.*partial*", "_records/*.new", ".room-*")


@dataclass(frozen=True)
class Place:
    """Where a run works: a lake, and a temporary folder that tells its processes from all others.

    Args:
        recipe: that it runs.
        lake: its folder.
        tmp: its temporary folder, of a short path, since Ray's sockets are in it.
    """

    recipe: Path
    lake: Path
    tmp: Path

    def command(self, stage: str) -> list[str]:
        """What runs a stage."""
        words = [sys.executable, "-m", "gnnscale.cli.main", stage, str(self.recipe)]
        return [*words, f"lake.uri={self.lake}", "--mode", "fast"]

    def start(self, stage: str, log: Path, before: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start a stage, in a session of its own."""
        environment = {**os.environ, "TMPDIR": str(self.tmp), "PYTHONPATH": str(ROOT)}
        with log.open("w") as sink:
            return subprocess.Popen(
                [*before, *self.command(stage)],
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    def run(self, stage: str, log: Path, seconds: float = 600) -> tuple[int, float]:
        """Run a stage to its end.

        Returns:
            Its status, and how long it took.
        """
        started = time.monotonic()
        process = self.start(stage, log)
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill_all()
            status = process.wait()
        return status, time.monotonic() - started

    def processes(self) -> list[int]:
        """Processes of this place that live."""
        name = f"TMPDIR={self.tmp}\0".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                state = (entry.parent / "stat").read_text().rpartition(")")[2].split()[0]
                if name in entry.read_bytes() and state != "Z":
                    found.append(int(entry.parent.name))
        return found

    def wait_for_end(self, seconds: float) -> list[int]:
        """Processes that are left after so many seconds, or none as soon as there is none."""
        end = time.monotonic() + seconds
        while (left := self.processes()) and time.monotonic() < end:
            time.sleep(0.1)
        return left

    def kill_all(self) -> None:
        """End everything of this place."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def left(self) -> list[str]:
        """Files and folders that nothing should have left."""
        private = self.tmp / f"gnnscale-{os.getuid()}"
        found = [path for pattern in LEFT_IN_TMP for path in (*self.tmp.glob(pattern), *private.glob(f"{pattern}-*"))]
        found += list(private.glob("checkpoints-*"))
        found += [path for pattern in LEFT_IN_LAKE for path in self.lake.glob(pattern)]
        return sorted({path.name for path in found})


def digest_tables(lake: Path) -> dict[str, str]:
    """A digest of the rows of every table of a lake, whatever their order."""
    opened = Lake(lake)
    return {name: digest_rows(opened.read(name)) for name in opened.tables()}


def digest_rows(table: pa.Table) -> str:
    """A digest of rows, whatever their order."""
    rows = sorted(repr(row) for row in table.select(sorted(table.column_names)).to_pylist())
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def copy_lake(source: Path, target: Path) -> None:
    """Put a copy of a lake, or none where there is none, in place of what is there."""
    shutil.rmtree(target, ignore_errors=True)
    if source.exists():
        shutil.copytree(source, target)
