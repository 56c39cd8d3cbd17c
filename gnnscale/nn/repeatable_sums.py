"""Gradients that come out the same, bit for bit, each time, however many threads add them up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def repeatable_sums(device: torch.device | str) -> Iterator[None]:
    """Have torch add in one order on the CPU, and leave its setting as it was found.

    Several threads that add up the gradients of ``rows[index]`` do so as they come, and sums of floats depend on
    their order. In one order it costs some percent of a step (none that could be measured on Complete Journey). On a
    GPU nothing is changed: some operations there have no other way, and others a slow one.

    Args:
        device: that gradients are computed on.
    """
    if torch.device(device).type != "cpu":
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    fills = torch._C._get_deterministic_fill_uninitialized_memory()
    # torch.use_deterministic_algorithms imports the compiler; memory that is written anyway needs no filling.
    torch._C._set_deterministic_algorithms(True, warn_only=True)
    torch._C._set_deterministic_fill_uninitialized_memory(False)
    try:
        yield
    finally:
        torch._C._set_deterministic_algorithms(before, warn_only=warns)
        torch._C._set_deterministic_fill_uninitialized_memory(fills)
