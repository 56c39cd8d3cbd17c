"""Rows of a batch shared out to threads; the compiled code that they run holds no lock of the interpreter."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

_OWN = threading.local()


def keep_rows() -> None:
    """Have :func:`share_rows` leave all rows to this thread, which is one of several that are at work."""
    _OWN.keeps = True


def share_rows(count: int, threads: int, work: Callable[[slice], None], least: int = 1) -> None:
    """Do something for all rows, a thread for each of ``threads`` stretches of them.

    Args:
        count: rows.
        threads: most stretches; one, in a thread that has been told to keep its rows.
        work: called with each stretch; what it raises is raised here.
        least: rows of a stretch: to wake a thread for fewer would take longer than they do.
    """
    parts = 1 if getattr(_OWN, "keeps", False) else max(1, min(threads, count // least))
    bounds = [count * i // parts for i in range(parts + 1)]
    stretches = [slice(start, end) for start, end in itertools.pairwise(bounds)]
    # This thread takes the last one itself.
    others = [_pool(os.getpid(), threads).submit(work, stretch) for stretch in stretches[:-1]]
    try:
        work(stretches[-1])
    finally:
        errors = [other.exception() for other in others]
    for error in errors:
        if error is not None:
            raise error


@lru_cache(maxsize=8)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Threads of one process: those of the one that it was forked from are not there."""
    return ThreadPoolExecutor(max(1, threads - 1), thread_name_prefix="gnnscale-sampling")
