"""Stores to publish to: an SQLite file, and a Redis server of the test session's own."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gnnscale.publish import connect
from gnnscale.schema import StoreError


@pytest.fixture(scope="session")
def redis_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server on a socket of its own, that keeps nothing on disk."""
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("redis-server is not installed")
    socket = tmp_path_factory.mktemp("redis") / "r.sock"
    words = [server, "--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, cwd=socket.parent)
    try:
        yield _once_up(f"unix://{socket}")
    finally:
        process.terminate()
        process.wait()


def _once_up(uri: str) -> str:
    end = time.monotonic() + 20
    while True:
        try:
            connect(uri).close()
            return uri
        except StoreError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


@pytest.fixture(params=["sqlite", "redis"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store of each kind."""
    if request.param == "sqlite":
        return str(tmp_path / "store.sqlite")
    found: str = request.getfixturevalue("redis_uri")
    import redis

    redis.Redis.from_url(found).flushall()
    return found
