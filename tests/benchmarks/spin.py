"""Steps of a network on two threads, on idle cores and beside a busy process, by how long its threads spin."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.benchmarks.measure import arguments, finish, surroundings

SPINS = {"libgomp's own": None, "of the command line": "5000", "hardly any": "1000"}
"""What GOMP_SPINCOUNT is set to."""
STEPS = {False: 10, True: 60}

STEP = """
import sys, time, torch
from torch import nn

threads, steps = int(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(threads)
torch.manual_seed(0)
layers = [part for _ in range(8) for part in (nn.Linear(64, 64), nn.LayerNorm(64), nn.GELU())]
network, rows = nn.Sequential(*layers), torch.randn(4096, 64)
optimiser = torch.optim.AdamW(network.parameters())

def step():
    optimiser.zero_grad()
    network(rows).square().mean().backward()
    optimiser.step()

for _ in range(3):
    step()
started = time.perf_counter()
for _ in range(steps):
    step()
print((time.perf_counter() - started) / steps * 1e3)
"""


def main() -> None:
    """Run, print a row for each setting, and with ``--json`` one line more."""
    options = arguments(__doc__ or "")
    rows = []
    for busy in (False, True):
        with processes(busy):
            one = milliseconds(1, STEPS[options.full])
            for name, spins in SPINS.items():
                two = milliseconds(2, STEPS[options.full], spins)
                rows.append({"busy": busy, "spins": name, "one_thread_ms": one, "two_threads_ms": two})
                print(rows[-1], flush=True)
    own, ours = (
        next(r["two_threads_ms"] for r in rows if r["busy"] and r["spins"] == name) for name in list(SPINS)[:2]
    )
    finish(
        options,
        {
            "benchmark": "spin",
            **surroundings(("torch",)),
            "ratio_beside_a_busy_process": round(own / ours, 1),
            "rows": rows,
        },
    )


def milliseconds(threads: int, steps: int, spins: str | None = None) -> float:
    """Of a step, in a process of its own: threads read the setting when torch is imported."""
    environment = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    if spins is not None:
        environment["GOMP_SPINCOUNT"] = spins
    command = [sys.executable, "-c", STEP, str(threads), str(steps)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return round(float(run.stdout), 2)


@contextmanager
def processes(busy: bool) -> Iterator[None]:
    """Keep one core busy meanwhile."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None
    try:
        yield
    finally:
        if other is not None:
            other.kill()
            other.wait()


if __name__ == "__main__":
    main()
