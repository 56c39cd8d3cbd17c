"""The parts of ``run.sh``, one after the other: each in a process of its own, stopped at its limit."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NEEDED = ("torch", "triton", "torch_geometric", "numpy", "numba", "lazy_loader", "pydantic")
"""What the package imports on the way to its GPU code."""


@dataclass(frozen=True)
class Part:
    """Figures of one kind.

    Args:
        name: of the part.
        seconds: that it may take.
        command: arguments of Python; none for the tests.
        modules: that it needs beside ``NEEDED``.
        gpu: whether it needs one.
    """

    name: str
    seconds: int
    command: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    gpu: bool = True


def parts(graph: str) -> tuple[Part, ...]:
    """All parts, whose seconds together are under nine minutes; two of them share a graph in a folder."""
    return (
        Part("ceilings", 45, ("-m", "tests.benchmarks.gpu_ceilings")),
        Part("tests", 150, modules=("pytest",), gpu=False),
        Part("sampler", 130, ("-m", "tests.benchmarks.gpu_sampler", "--medium", "--graph", graph)),
        Part("train", 100, ("-m", "tests.benchmarks.gpu_train", "--graph", graph)),
        Part("retrieval", 105, ("-m", "tests.benchmarks.gpu_retrieval", "--full", "--queries", "500000")),
    )


def main() -> int:
    """Run all parts; 0 where all that can run here has run to its end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("gpu-figures"), help="folder of the figures")
    parser.add_argument("--tests", nargs="+", help="files of tests; default: all of this folder")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    tests = options.tests or sorted(path.name for path in HERE.glob("test_*.py"))
    faults = 0
    with (
        (options.out / "figures.jsonl").open("w") as figures,
        tempfile.TemporaryDirectory(prefix="gpu-figures-") as graph,
    ):
        for part in parts(graph):
            began, why = time.monotonic(), lacking(part)
            found = list(_figures(part, tests, options.out)) if why is None else []
            for figure in found:
                figures.write(json.dumps({"part": part.name, **figure}) + "\n")
                faults += figure.get("failed", 0) > 0
            outcome = f"skipped: {why}" if why else f"{len(found)} figures in {time.monotonic() - began:.0f} s"
            figures.write(json.dumps({"part": part.name, "figure": "outcome", "says": outcome}) + "\n")
            figures.flush()
            _say(f"{part.name}: {outcome}")
            for figure in found:
                for line in [figure["says"]] if figure.get("failed") else figure.get("skipped", ()):
                    _say(f"  {line}")
    return 1 if faults else 0


def lacking(part: Part) -> str | None:
    """Why a part can't run here; None where it can."""
    missing = [name for name in (*NEEDED, *part.modules) if find_spec(name) is None]
    if missing:
        return f"{', '.join(missing)} not installed"
    if part.gpu:
        import torch

        return None if torch.cuda.is_available() else "torch sees no CUDA device"
    return None


def _figures(part: Part, tests: list[str], out: Path) -> Iterator[dict[str, Any]]:
    """What a part prints as JSON objects; and whether it failed, where it did."""
    log, end = out / f"{part.name}.log", time.monotonic() + part.seconds
    if part.command:
        code, text = _run(list(part.command), part.seconds)
        log.write_text(text)
        yield from (json.loads(line) for line in text.splitlines() if line.startswith("{"))
        if code != 0:
            yield {"figure": "fault", "failed": 1, "says": _fault(code, text, part.seconds)}
        return
    # A process a file: kernels of one are compiled beside those of another.
    with ThreadPoolExecutor(max(1, min(len(tests), os.cpu_count() or 1))) as pool:
        options = ("-rs", "-p", "no:cacheprovider", "-p", "no:xdist")
        commands = [["-m", "pytest", *options, str(HERE / name)] for name in tests]
        done = list(pool.map(lambda command: _run(command, end - time.monotonic()), commands))
    log.write_text("\n".join(text for _, text in done))
    for name, (code, text) in zip(tests, done, strict=True):
        counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error)", text)}
        skipped = re.findall(r"^SKIPPED (.*)$", text, re.MULTILINE)
        # 5 where a file has no test that can run here.
        failed = 0 if code in (0, 5) else max(1, counts.get("failed", 0) + counts.get("error", 0))
        says = f"{name}: {_fault(code, text, part.seconds)}" if failed else ""
        yield {
            "figure": name,
            "passed": counts.get("passed", 0),
            "failed": failed,
            "skipped": [f"{name}: skipped {each}" for each in skipped],
            "says": says,
        }


def _run(command: list[str], seconds: float) -> tuple[int, str]:
    """Status and output of Python in the way that this one was started; stopped after so many seconds."""
    flags = ["-S"] if sys.flags.no_site else []
    process = subprocess.Popen(
        [sys.executable, *flags, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        text, _ = process.communicate(timeout=max(1.0, seconds))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        text, _ = process.communicate()
        return -signal.SIGKILL, text
    return process.returncode, text


def _fault(code: int, text: str, seconds: int) -> str:
    if code == -signal.SIGKILL:
        return f"stopped at its limit of {seconds} s"
    return f"status {code}: {next((line for line in reversed(text.splitlines()) if line.strip()), 'no word')}"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
