"""A real Ray of several nodes on this machine, each begun by ``ray start``, whose dashboard takes jobs.

Each node has a network of its own where that can be had, else all share the loopback address.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import HOST
from tests.network_namespaces import Host, namespaces

RAY = str(Path(sys.executable).parent / "ray")


@dataclass(frozen=True)
class RayCluster:
    """Nodes of one core each.

    Args:
        address: of the dashboard.
        environment: of whoever talks to it: its token, and nothing of another Ray.
    """

    address: str
    environment: dict[str, str]

    def submit(self, words: Sequence[str], folder: Path, seconds: float = 300) -> str:
        """Let a job end well.

        Args:
            words: its command.
            folder: that the command runs in.
            seconds: that it may take.

        Returns:
            What it has said.
        """
        command = [RAY, "job", "submit", "--address", self.address, "--log-style", "record", "--", *words]
        end = time.monotonic() + 240
        while True:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=seconds, env=self.environment, cwd=folder
            )
            # What starts jobs comes up after the node that it is on.
            if "No available agent" not in done.stderr or time.monotonic() > end:
                break
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
        return done.stdout + done.stderr


@contextmanager
def ray_cluster(nodes: int) -> Iterator[RayCluster]:
    """A head and further nodes, all of which are gone afterwards."""
    ports = [_free_port() for _ in range(2)]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    environment = {**clean, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    started: list[subprocess.Popen[bytes]] = []
    # Sockets have paths of at most 107 characters.
    with (
        tempfile.TemporaryDirectory(prefix="gr-", dir="/tmp", ignore_cleanup_errors=True) as folder,
        namespaces(nodes) as found,
    ):
        hosts = found or [Host(HOST)] * nodes

        def start(*words: str) -> None:
            host = hosts[len(started)]
            # The agent that starts jobs has one port for every Ray of a host, and is none where another has it.
            agent = "--dashboard-agent-listen-port=0"
            own = [agent, f"--node-ip-address={host.address}", "--num-cpus=1", "--disable-usage-stats"]
            command = [*host.prefix, RAY, "start", "--block", *own, *words]
            with (Path(folder) / f"node{len(started)}.log").open("wb") as log:
                started.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))

        head = hosts[0].address
        try:
            start(
                "--head",
                f"--port={ports[0]}",
                f"--dashboard-host={head}",
                f"--dashboard-port={ports[1]}",
                f"--temp-dir={folder}/s",
            )
            cluster = RayCluster(f"http://{head}:{ports[1]}", environment)
            _wait(cluster, 1, started[0], Path(folder) / "node0.log")
            for _ in range(nodes - 1):
                start(f"--address={head}:{ports[0]}")
            _wait(cluster, nodes, started[0], Path(folder) / "node0.log")
            yield cluster
        finally:
            for process in reversed(started):
                process.terminate()
            for process in started:
                process.wait(60)


def _wait(cluster: RayCluster, nodes: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until the dashboard knows of so many nodes."""
    request = urllib.request.Request(
        f"{cluster.address}/nodes?view=summary",
        headers={"Authorization": f"Bearer {cluster.environment['RAY_AUTH_TOKEN']}"},
    )
    end = time.monotonic() + 120
    while True:
        with suppress(urllib.error.URLError, OSError), urllib.request.urlopen(request, timeout=10) as answer:
            found = json.load(answer)["data"]["summary"]
            if sum(node.get("raylet", {}).get("state") == "ALIVE" for node in found) == nodes:
                return
        assert process.poll() is None and time.monotonic() < end, log.read_text()
        time.sleep(0.5)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])
