"""Memory of large arrays that come and go: a system that hands out fresh pages clears each of them first."""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

LEAST = 1 << 20
"""Bytes from which on an array's memory is kept for the next one: smaller ones come from the C heap, which does so."""
MOST = 1 << 29
"""Bytes that are kept at most while nothing refers to them."""
SPARE = 1.25
"""Times what is needed that a block may have."""

M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
"""Of glibc's ``mallopt``: free bytes at the end of the heap that go back to the system, and the size of blocks that are
mapped by themselves."""

KEPT: Final = {M_MMAP_THRESHOLD: 1 << 30, M_TRIM_THRESHOLD: (1 << 31) - 1}

USUAL: Final = {M_MMAP_THRESHOLD: 1 << 25, M_TRIM_THRESHOLD: 1 << 26}
"""What glibc comes to by itself in a process that frees large blocks; once told, it finds nothing by itself."""

_USERS: list[None] = []
_LOCK: Final = threading.Lock()


def reused_array(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """As :func:`numpy.empty`, in the memory of an earlier one that nothing refers to any more, where there is such.

    Args:
        shape, dtype: of the array.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size < LEAST:
        return np.empty(shape, dtype)
    block = np.asarray(_Lease(_KEPT.take(size), _KEPT))
    return block[:size].view(dtype).reshape(shape)


class KeptBlocks:
    """Blocks of memory that nothing refers to."""

    def __init__(self) -> None:
        self._free: list[NDArray[np.uint8]] = []
        # What is collected while it is held may give a block back.
        self._lock = threading.RLock()

    def take(self, size: int) -> NDArray[np.uint8]:
        """A block of so many bytes, or of a few more."""
        with self._lock:
            for place, block in enumerate(self._free):
                if size <= len(block) <= SPARE * size:
                    return self._free.pop(place)
        return np.empty(size, np.uint8)

    def give(self, block: NDArray[np.uint8]) -> None:
        """Keep a block for the next that asks; those that were given first go where it is too much."""
        with self._lock:
            self._free.append(block)
            while sum(map(len, self._free)) > MOST:
                del self._free[0]


_KEPT = KeptBlocks()


class _Lease:
    """What arrays in a block refer to: the block is kept once nothing refers to this."""

    def __init__(self, block: NDArray[np.uint8], kept: KeptBlocks) -> None:
        self._block, self._kept = block, kept
        self.__array_interface__ = block.__array_interface__

    def __del__(self) -> None:
        self._kept.give(self._block)


@contextmanager
def kept_heap() -> Iterator[None]:
    """Keep what is freed for what is asked for next, and hand it back in the end.

    For work whose tensors of tens of megabytes come and go: mapped anew each time, their pages are cleared one by one,
    which is half of what such work takes. Where the C library is another one than glibc, nothing is done.
    """
    with _LOCK:
        _USERS.append(None)
        _tell(KEPT)
    try:
        yield
    finally:
        with _LOCK:
            _USERS.pop()
            if not _USERS and _tell(USUAL):
                ctypes.CDLL(None).malloc_trim(0)


def _tell(values: dict[int, int]) -> bool:
    try:
        tell = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    taken = [tell(name, value) for name, value in values.items()]
    return all(found == 1 for found in taken)
