"""What every benchmark tells: time, peak memory of all its processes, hardware and versions."""

from __future__ import annotations

import argparse
import json
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

SAMPLE_SECONDS = 2  # a look at the page tables of many gigabytes takes tens of milliseconds of a core


@dataclass
class Measured:
    """Seconds and peak proportional set size of a block; filled in when it ends."""

    seconds: float = 0.0
    peak_gb: float = 0.0


@contextmanager
def measured() -> Iterator[Measured]:
    """Time a block, and sample the memory of this process and all under it."""
    result, done = Measured(), threading.Event()

    def sample() -> None:
        while True:
            result.peak_gb = max(result.peak_gb, tree_bytes(os.getpid()) / 1e9)
            if done.wait(SAMPLE_SECONDS):
                return

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    started = time.monotonic()
    try:
        yield result
    finally:
        result.seconds = time.monotonic() - started
        done.set()
        thread.join()


def tree_bytes(root: int) -> int:
    """Proportional set size of a process and its descendants: shared pages count once."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    total, queue = 0, [root]
    while queue:
        pid = queue.pop()
        queue += children.get(pid, [])
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")), 0)
    return total


def surroundings(packages: tuple[str, ...]) -> dict[str, Any]:
    """Hardware and versions."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {
        "hardware": f"{platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GB",
        "cores": os.cpu_count(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
    }


def arguments(
    description: str, more: Callable[[argparse.ArgumentParser], None] = lambda parser: None
) -> argparse.Namespace:
    """``--full`` and ``--json``, and what ``more`` adds to them."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--full", action="store_true", help="the sizes that are claimed; minutes")
    parser.add_argument("--json", action="store_true", help="end with one JSON object on a line")
    more(parser)
    return parser.parse_args()


def finish(options: argparse.Namespace, result: dict[str, Any]) -> None:
    """Print the result's last line where it is asked for."""
    if options.json:
        print(json.dumps(result))
