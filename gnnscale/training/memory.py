"""Giving freed memory back: batches differ in size, and glibc's heap would grow by what it can't reuse."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache

EVERY = 10
"""Steps between trims; one takes some milliseconds."""


def trim_heap() -> None:
    """Return free pages of the C heap to the system, where the C library can."""
    _trim()(0)


@cache
def _trim() -> Callable[[int], object]:
    if not sys.platform.startswith("linux"):
        return lambda _: None
    library = ctypes.CDLL(None)
    # musl has no malloc_trim.
    trim: Callable[[int], object] = getattr(library, "malloc_trim", lambda _: None)
    return trim
