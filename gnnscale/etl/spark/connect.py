"""What differs in sessions of Spark Connect, which have neither a JVM nor a ``SparkContext`` in this process."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import MutableMapping
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies
from weakref import WeakKeyDictionary

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from gnnscale.schema import ConfigError, GnnscaleError, mask_text

REMOTE: Final = "sc://"
"""What the address of a Spark Connect server begins with."""

SPARK_FAULTS: Final = (PySparkException, Py4JJavaError)
"""What Spark raises where it can't do what it was asked for, of either kind of session."""

PORT: Final = 15002
"""Of a server whose address names none."""

_SECONDS: Final = 20
"""Within which a server takes a connection."""

_CONNECT: Final = "pyspark.sql.connect."
_MODE: Final = "SPARK_CONNECT_MODE_ENABLED"
_ABSENT: Final = ("DATA_SOURCE_NOT_FOUND", "PYTHON_DATA_SOURCE")

_SLOTS: MutableMapping[SparkSession, int] = WeakKeyDictionary()
_DELTA: MutableMapping[SparkSession, bool] = WeakKeyDictionary()


def is_connect(session: SparkSession) -> bool:
    """Whether a session is one of Spark Connect; nothing of it is loaded to tell."""
    return type(session).__module__.startswith(_CONNECT)


def task_slots(session: SparkSession) -> int:
    """Tasks that run at once: Spark's default parallelism."""
    if not is_connect(session):
        return int(session.sparkContext.defaultParallelism)
    if session not in _SLOTS:
        # A range has as many partitions, and no call tells their number.
        numbered = session.range(1 << 16).select(F.spark_partition_id().alias("part"))
        row = numbered.agg(F.max("part").alias("last")).first()
        assert row is not None
        _SLOTS[session] = int(row["last"]) + 1
    return _SLOTS[session]


def server_has_delta(session: SparkSession) -> bool:
    """Whether the server of a Spark Connect session reads Delta itself, without the data source of ours."""
    if session not in _DELTA:
        try:
            # It is not the path that is asked for, but who complains of it.
            session.read.format("delta").load("/no-such-table").schema  # noqa: B018
        except PySparkException as error:
            _DELTA[session] = not str(error.getCondition()).startswith(_ABSENT)
        else:
            _DELTA[session] = True
    return _DELTA[session]


def remote_address(master: str) -> str | None:
    """Address of the Spark Connect server that the configuration, or else the environment, names."""
    return master if master.startswith(REMOTE) else os.environ.get("SPARK_REMOTE")


def open_remote(address: str, app: str) -> SparkSession:
    """A session on a Spark Connect server.

    Args:
        address: such as ``sc://host:15002``.
        app: name that Spark's own pages show.

    Raises:
        ConfigError: the packages that Spark Connect takes are not installed.
        GnnscaleError: the server can't be reached.
    """
    _check_reachable(address)
    before = _MODE in os.environ
    try:
        session: SparkSession = SparkSession.builder.remote(address).appName(app).getOrCreate()
        # The first call is the one that connects.
        session.version  # noqa: B018
        return session
    except ImportError as error:
        _leave_mode(before)
        raise ConfigError(
            f"spark.master={mask_text(address)} takes packages that are not installed ({str(error).splitlines()[0]}); "
            "install them with: pip install 'gnnscale[connect]'"
        ) from None
    except PySparkException as error:
        _leave_mode(before)
        raise GnnscaleError(
            f"Spark Connect server {mask_text(address)} can't be used: {mask_text(str(error)).splitlines()[0]}"
        ) from None


def _check_reachable(address: str) -> None:
    """See that somebody answers, which PySpark tries for ten minutes. Where there are proxies, that is left to it."""
    place = urlsplit(address)
    try:
        if not getproxies():
            socket.create_connection((place.hostname or "", place.port or PORT), _SECONDS).close()
    except (OSError, ValueError) as error:
        raise GnnscaleError(f"Spark Connect server {mask_text(address)} can't be reached: {error}") from None


def close_remote(session: SparkSession) -> None:
    """End a session that :func:`open_remote` has made; the server goes on."""
    session.stop()
    _leave_mode(False)


def _leave_mode(before: bool) -> None:
    """Let PySpark start sessions of its own again, which it never does once it has been remote."""
    if not before:
        os.environ.pop(_MODE, None)


def default_remote() -> SparkSession | None:
    """The Spark Connect session that another thread of this process has made."""
    found: Any = sys.modules.get(f"{_CONNECT}session")
    session: SparkSession | None = found.SparkSession._get_default_session() if found else None
    return session


def activate_remote(session: SparkSession) -> None:
    """Make a session of Spark Connect the active one of this thread, for which PySpark has no call."""
    kind: Any = type(session)
    kind._active_session.session = session
