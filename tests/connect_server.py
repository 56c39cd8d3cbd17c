"""PySpark's own Spark Connect server, in a JVM of its own, as a cluster's or serverless compute's would be."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gnnscale.etl.spark.java import choose_java
from gnnscale.etl.spark.session import WORKER_DAEMON
from tests.cluster import HOST, SPARK_HOME, descendants, end, launch, wait_until

SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"


@contextmanager
def connect_server(folder: Path) -> Iterator[str]:
    """A server with two cores of this machine.

    Args:
        folder: for its log and its own files.

    Yields:
        Its address.
    """
    choose_java()
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    settings = {
        "spark.connect.grpc.binding.address": HOST,
        "spark.connect.grpc.binding.port": str(port),
        "spark.driver.memory": "1g",
        "spark.driver.host": HOST,
        "spark.driver.bindAddress": HOST,
        "spark.local.dir": str(folder),
        "spark.sql.warehouse.dir": str(folder / "spark-warehouse"),
        "spark.ui.enabled": "false",
        # Else every Python worker imports by itself what it needs.
        "spark.python.daemon.module": WORKER_DAEMON,
    }
    command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", "local[2]", "--class", SERVER]
    command += [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
    process, _ = launch([*command, "spark-internal"], folder / "server.log", {})

    def answers() -> bool:
        with socket.socket() as tried:
            return tried.connect_ex((HOST, port)) == 0

    try:
        wait_until(answers, [process])
        yield f"sc://{HOST}:{port}"
    finally:
        for pid in descendants([process.pid]):
            end(pid)
        process.kill()
        process.wait()
