"""Memory of a training process: batches differ in size, and glibc's heap would grow by what it can't reuse."""

from __future__ import annotations

import ctypes
import resource
import sys
from collections.abc import Callable
from functools import cache

EVERY = 10
"""Steps between trims; one takes some milliseconds."""


def trim_heap() -> None:
    """Return free pages of the C heap to the system, where the C library can."""
    _trim()(0)


def peak_memory() -> int:
    """Most bytes that this process has had in memory, of its own and mapped."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


@cache
def _trim() -> Callable[[int], object]:
    if not sys.platform.startswith("linux"):
        return lambda _: None
    library = ctypes.CDLL(None)
    # musl has no malloc_trim.
    trim: Callable[[int], object] = getattr(library, "malloc_trim", lambda _: None)
    return trim
