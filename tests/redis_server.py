"""A Redis server of one's own, on a socket in a folder, that keeps nothing on disk."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gnnscale.publish import connect
from gnnscale.schema import StoreError

SECONDS = 30.0
"""That it has to come up."""


def has_redis() -> bool:
    """Whether the distribution's package is installed."""
    return shutil.which("redis-server") is not None


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """URI of a server that runs as long as the block does."""
    socket = folder / "r.sock"
    words = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, cwd=folder)
    try:
        yield _once_up(f"unix://{socket}")
    finally:
        process.terminate()
        process.wait()


def _once_up(uri: str) -> str:
    end = time.monotonic() + SECONDS
    while True:
        try:
            connect(uri).close()
            return uri
        except StoreError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
