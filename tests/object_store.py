"""An S3-compatible server on this machine, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

PROGRAM = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(*server.get_host_and_port(), flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class ObjectStore:
    """A server with one bucket.

    Args:
        url: of the server.
        bucket: its name.
    """

    url: str
    bucket: str = "lakes"

    @property
    def options(self) -> dict[str, str]:
        """What a lake there is opened with, as delta-rs names it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "kept-to-itself",
            "AWS_REGION": "us-east-1",
        }

    def uri(self, name: str) -> str:
        """Of a lake in the bucket."""
        return f"s3://{self.bucket}/{name}"


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """A server for as long as it is needed; it ends with its standard input, which ends with this process."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", PROGRAM], text=True, **pipes) as server:
        assert server.stdout is not None
        try:
            host, port = server.stdout.readline().split()
            store = ObjectStore(f"http://{host}:{port}")
            urllib.request.urlopen(urllib.request.Request(f"{store.url}/{store.bucket}", method="PUT"), timeout=10)
            yield store
        finally:
            server.kill()
