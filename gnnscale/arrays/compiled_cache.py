"""Numba's cache of compiled functions, kept whole where several processes compile at once."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def init() -> None:
    """Have numba read and write its cache under a lock of the folder; numba calls this itself, by an entry point.

    It writes an index that names a file for each signature of a function, and then the file. Of two processes that
    compile the same function for other types at once, as those that begin after an installation do, one's index may
    name the other's file: whoever reads that runs code of other types, to wrong numbers or an end without a word.
    """
    from numba.core.caching import IndexDataCacheFile

    save, load = IndexDataCacheFile.save, IndexDataCacheFile.load

    def save_alone(self: Any, key: Any, data: Any) -> Any:
        with _locked(self._cache_path, fcntl.LOCK_EX):
            return save(self, key, data)

    def load_whole(self: Any, key: Any) -> Any:
        with _locked(self._cache_path, fcntl.LOCK_SH):
            return load(self, key)

    IndexDataCacheFile.save, IndexDataCacheFile.load = save_alone, load_whole  # type: ignore[method-assign]


@contextmanager
def _locked(folder: str, how: int) -> Iterator[None]:
    """Hold a lock of a folder; nothing where the folder can't be written to, for then nobody writes."""
    try:
        lock = open(os.path.join(folder, ".compiled.lock"), "a")  # noqa: SIM115
    except OSError:
        yield
        return
    with lock:
        fcntl.flock(lock, how)
        yield
