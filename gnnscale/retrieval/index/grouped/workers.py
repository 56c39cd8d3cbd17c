"""Threads that each take a core for products and kernels of their own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager

import torch


@contextmanager
def one_core_each(threads: int) -> Iterator[Executor]:
    """A pool whose threads don't share their products out again; torch is as it was before when the block ends."""
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)
