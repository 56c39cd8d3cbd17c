"""What the benchmarks of the GPU have in common: time on a device, and one JSON object a figure."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import torch


def best_seconds(run: Callable[[], Any], device: torch.device, rounds: int = 3) -> float:
    """Shortest seconds of some rounds, each to the end of what the device has to do; one goes before them."""
    found = float("inf")
    for turn in range(rounds + 1):
        wait_for(device)
        started = time.perf_counter()
        run()
        wait_for(device)
        if turn:
            found = min(found, time.perf_counter() - started)
    return found


def wait_for(device: torch.device) -> None:
    """Until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def name_of(device: torch.device) -> str:
    """The card, or that there is none."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def tell(figure: dict[str, Any]) -> dict[str, Any]:
    """Print a figure as one line, at once, so that a run that is cut off leaves those that it has."""
    print(json.dumps(figure), flush=True)
    return figure
