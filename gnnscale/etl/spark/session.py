"""The Spark session: sized to the machine by default, with ``format("delta")`` always there."""

from __future__ import annotations

import atexit
import logging
import os
import subprocess
import sys
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkException, PySparkRuntimeError
from pyspark.sql import SparkSession, is_remote

from gnnscale.arrays import end_processes, kept_signals, memory_limits, scratch_folder, temporary_files_in
from gnnscale.config import SparkSettings
from gnnscale.etl.spark.connect import (
    activate_remote,
    close_remote,
    default_remote,
    is_connect,
    open_remote,
    remote_address,
)
from gnnscale.etl.spark.delta_source import DeltaDataSource, has_jvm_delta
from gnnscale.etl.spark.java import choose_java
from gnnscale.schema import LostProcessError, is_secret_name
from gnnscale.tracking import is_no_line_of_py4j

log = logging.getLogger(__name__)

GIB = 1 << 30
LOGGING = Path(__file__).with_name("log4j2.properties")
WORKER_DAEMON = "gnnscale.etl.spark.worker_daemon"

QUICK = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:-UseCodeCacheFlushing"
"""Has Java compile quickly, to code that is not the fastest, and keep all of it: the room that it gives such code is
so small for Spark that it throws away what it has to compile again."""

_FOLDER = ExitStack()
"""Holds the folder of the session that this process has started."""
atexit.register(_FOLDER.close)

_REMOTE: list[SparkSession] = []
"""The session of Spark Connect that this process has opened."""


def open_session(
    settings: SparkSettings, app: str = "gnnscale", heap_mib: int = 0, small: bool = False
) -> SparkSession:
    """Start Spark, or take the session that is there.

    Under ``spark-submit`` or on a cluster that brings a session, its master and memory stand. A master ``sc://...``, or
    ``SPARK_REMOTE``, is a Spark Connect server, of which nothing but SQL's configuration is set. Times are UTC.

    Args:
        settings: master, memory, partitions and further ``spark.*`` configuration.
        app: name that Spark's own pages show.
        heap_mib: of Java, at least, where its memory is ``auto``.
        small: whether so little is worked on that Java's second compiler, and plans made anew as they run, would take
            longer than they save; for a JVM of this machine.

    Raises:
        GnnscaleError: there is no Java that Spark runs on, or the Spark Connect server can't be used.
        LostProcessError: the JVM was killed, or has refused its options, before it answered.
    """
    # What it has to tell is in the errors that it raises, and its log lines hold the whole of Java's.
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    # Some of them it writes by no logger of its own.
    logging.getLogger().addFilter(is_no_line_of_py4j)
    # PySpark warns of every pandas 3; nothing here converts through pandas.
    warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas", category=FutureWarning)
    if address := remote_address(settings.master):
        _REMOTE[:] = [_configured(open_remote(address, app), settings)]
        return _prepared(_REMOTE[0])
    builder = SparkSession.builder.appName(app)
    # spark-submit starts the JVM before Python; only this variable tells, and its settings must win.
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    if not submitted:
        # Python data sources are planned by the interpreter that this names; spark.pyspark.python does not reach them.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        if SparkSession.getActiveSession() is None:
            choose_java()
    configuration = _configuration(settings, submitted, heap_mib, small)
    with kept_signals():
        if not submitted and SparkContext._active_spark_context is None:
            folder = _FOLDER.enter_context(scratch_folder(None, "spark", "", end_processes))
            if settings.master.startswith("local"):
                configuration |= _own_folder(configuration, folder)
            # PySpark has the JVM write there how it is reached, and with which secret.
            with temporary_files_in(folder):
                _start_jvm(configuration)
        for key, value in configuration.items():
            builder = builder.config(key, value)
        session = builder.getOrCreate()
        if not submitted:
            _quiet_accumulators(session)
        return _prepared(session)


def _own_folder(configuration: dict[str, str], folder: Path) -> dict[str, str]:
    """Configuration that has Spark keep its blocks, artifacts and files in a folder of the user's own.

    That is removed when the session is closed, or by the next session where this process is killed.
    """
    options = configuration.get("spark.driver.extraJavaOptions", "")
    own = {"spark.driver.extraJavaOptions": f"{options} -Djava.io.tmpdir={folder}".strip()}
    # Where the user has said where blocks go, they go there.
    return (
        own
        if {"spark.local.dir", "SPARK_LOCAL_DIRS"} & {*configuration, *os.environ}
        else {**own, "spark.local.dir": str(folder)}
    )


def _start_jvm(configuration: dict[str, str]) -> None:
    """Start the JVM without the configuration that is secret: everybody on this machine can read its command line.

    The context gets that over the connection to the JVM.

    Raises:
        LostProcessError: it has ended at once.
    """
    shown = SparkConf(loadDefaults=False)
    for key, value in configuration.items():
        if not is_secret_name(key):
            shown.set(key, value)
    try:
        SparkContext._ensure_initialized(conf=shown)
    except PySparkRuntimeError as error:
        if error.getCondition() != "JAVA_GATEWAY_EXITED":
            raise
        raise LostProcessError(
            "Spark's JVM has ended before it answered: something has killed it, as the kernel does where memory is "
            "short, or it refuses its options (spark.conf, SPARK_SUBMIT_OPTS, JDK_JAVA_OPTIONS) and has said so. "
            "What was committed stays; run again to go on"
        ) from error


def _quiet_accumulators(session: SparkSession) -> None:
    """Have PySpark's server of accumulators end without a traceback where the JVM at its other end is gone."""
    server = getattr(session.sparkContext, "_accumulatorServer", None)
    if server is None:
        return
    shown = server.handle_error

    def handle_error(request: Any, client: Any) -> None:
        if not isinstance(sys.exception(), EOFError | ConnectionError):
            shown(request, client)

    server.handle_error = handle_error


def jvm_status() -> int | None:
    """Return code of the JVM that this process has started, where that has ended; None where it lives."""
    process = getattr(SparkContext._gateway, "proc", None)
    if process is None:
        return None
    try:
        # A connection breaks before the process that had its other end is gone.
        status: int = process.wait(timeout=0.5)
    except subprocess.TimeoutExpired:
        return None
    return status


def borrow_session(settings: SparkSettings) -> SparkSession:
    """A session beside the one that is there: its context, views of the catalog and configuration, and ours over that.

    It is the active one then; what is set in it, or registered, the other does not see. :func:`activate_session` makes
    that active again.

    Args:
        settings: partitions and further ``spark.*`` configuration; master and memory are those that there are.
    """
    owner = running_session() or SparkSession.builder.getOrCreate()
    if is_connect(owner):
        remote = _configured(owner.cloneSession(), settings)  # type: ignore[attr-defined]
        activate_session(remote)
        return _prepared(remote)
    session = owner.newSession()
    wanted = {**owner.conf.getAll, **_configuration(settings, submitted=True)}
    for key, value in wanted.items():
        if session.conf.isModifiable(key):
            session.conf.set(key, value)
    # Data sources are looked up in the active session, whichever is asked.
    activate_session(session)
    return _prepared(session)


def running_session() -> SparkSession | None:
    """The active session of this thread, or that of another thread; None where none runs."""
    session = SparkSession.getActiveSession()
    if is_remote():
        return session or default_remote()
    if session is None and SparkContext._active_spark_context is not None:
        session = SparkSession.builder.getOrCreate()
    return session


def activate_session(session: SparkSession) -> None:
    """Make a session the active one of this thread, which PySpark does where frames are made and has no call for."""
    if is_connect(session):
        activate_remote(session)
        return
    SparkSession._activeSession = session
    jvm = session._jvm
    assert jvm is not None
    jvm.SparkSession.setActiveSession(session._jsparkSession)


def _configured(session: SparkSession, settings: SparkSettings) -> SparkSession:
    """A session of Spark Connect with the configuration that its server lets it have."""
    wanted = _configuration(settings, submitted=True)
    if settings.shuffle_partitions == "auto":
        # The cores of this machine say nothing of the server's.
        del wanted["spark.sql.shuffle.partitions"]
    for key, value in wanted.items():
        _set(session, key, value, logging.WARNING if key in settings.conf else logging.DEBUG)
    return session


def _set(session: SparkSession, key: str, value: str, level: int = logging.DEBUG) -> None:
    """Set what makes queries faster, and no difference to their rows: some Spark Connect servers allow little."""
    try:
        session.conf.set(key, value)
    except PySparkException as error:
        if not is_connect(session):
            raise
        log.log(level, "the Spark Connect server does not take %s: %s", key, str(error).splitlines()[0])


def _prepared(session: SparkSession) -> SparkSession:
    session.conf.set("spark.sql.session.timeZone", "UTC")
    # Inferring filters from filters takes time exponential in the windows of a query (2 minutes for seven).
    _set(session, "spark.sql.constraintPropagation.enabled", "false")
    # A small table that is sent to all tasks may wait long for those of a large one beside it, and is no fault then.
    _set(session, "spark.sql.broadcastTimeout", "-1")
    if not has_jvm_delta(session):
        session.dataSource.register(DeltaDataSource)
    return session


def close_session(at_once: bool = False) -> None:
    """Stop Spark where this process has started its JVM; a session that a cluster brought goes on.

    Args:
        at_once: end the JVM without waiting for the jobs that run.
    """
    while _REMOTE:
        close_remote(_REMOTE.pop())
    gateway = SparkContext._gateway
    process = getattr(gateway, "proc", None)
    if gateway is None or process is None:
        return
    if at_once:
        process.kill()
    elif process.poll() is None:
        if (context := SparkContext._active_spark_context) is not None:
            context.stop()
        # Stopping the context leaves the JVM with its heap; closing its standard input ends it.
        gateway.shutdown()
        process.stdin.close()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
    _forget_jvm()
    _FOLDER.close()


def _forget_jvm() -> None:
    """Leave nothing of a JVM that has ended to who asks for a session next."""
    if SparkContext._active_spark_context is not None:
        SparkContext._active_spark_context._jsc = None
    SparkContext._active_spark_context = None
    SparkSession._instantiatedSession = None
    SparkSession._activeSession = None
    SparkContext._gateway = None
    SparkContext._jvm = None


def _configuration(settings: SparkSettings, submitted: bool, heap_mib: int = 0, small: bool = False) -> dict[str, str]:
    cores = os.cpu_count() or 1
    partitions = settings.shuffle_partitions
    configuration = {
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "100000",
        # Blocks of edges are about a megabyte each.
        "spark.sql.execution.arrow.maxBytesPerBatch": str(64 << 20),
        # Shuffles of a billion edges must not stay on disk until the driver's heap happens to be collected.
        "spark.sql.classic.shuffleDependency.fileCleanup.enabled": "true",
        "spark.sql.shuffle.partitions": str(2 * cores if partitions == "auto" else partitions),
    }
    if not submitted:
        configuration |= {
            "spark.master": settings.master,
            "spark.driver.memory": _driver_memory(settings.driver_memory, heap_mib),
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            # PySpark tells the JVM where each column was made: two calls in three of those that a plan takes.
            "spark.python.sql.dataFrameDebugging.enabled": "false",
            "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={LOGGING.as_uri()}",
        }
        if settings.master.startswith("local"):
            configuration |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
            # Other users of the machine reach that address, too; the secret is the session's own.
            configuration["spark.authenticate"] = "true"
            # Packed blocks hardly shrink, and between tasks of one machine they cross no network.
            configuration["spark.shuffle.compress"] = "false"
            configuration["spark.python.daemon.module"] = WORKER_DAEMON
            # As of readers of data sources, so that both have their workers from one process.
            configuration["spark.sql.execution.pyspark.udf.simplifiedTraceback.enabled"] = "false"
            if small:
                configuration["spark.driver.extraJavaOptions"] += f" {QUICK}"
                # Of a few thousand rows, planning anew after each shuffle costs more than it may save.
                configuration["spark.sql.adaptive.enabled"] = "false"
    return configuration | settings.conf


def _driver_memory(setting: str, least: int) -> str:
    if setting != "auto":
        return setting
    # An eighth of the machine, or of the container: Python workers, training and the page cache need the rest.
    return f"{max(1024, least, memory_limits().memory // 8 // (GIB // 1024))}m"
