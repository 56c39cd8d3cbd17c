"""The Ray that work runs on: the cluster that is there, or one of our own on this machine, private to its user."""

from __future__ import annotations

import atexit
import logging
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import ray
from ray._private import ray_constants
from ray._private.node import Node
from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]

from gnnscale.arrays import end_processes, kept_signals, scratch_folder
from gnnscale.config import Settings
from gnnscale.pipeline.workers.lost_processes import noted_processes, watched

log = logging.getLogger(__name__)

OBJECT_STORE_BYTES = 256 << 20
"""Ray's shared memory on a machine of our own: only progress and settings pass through it."""

MOST_PATH = 44
"""Characters of the folder of Ray's sessions: 63 follow, and a socket has 107."""

NEEDLESS = ("start_api_server", "start_log_monitor", "start_monitor")
"""What starts those processes of Ray that only a cluster, or a person who looks on, has a use for."""

TOKEN = "RAY_AUTH_TOKEN"

_SESSION = ExitStack()
"""Holds the folder of the Ray that this process has begun."""
atexit.register(_SESSION.close)

_OWN: list[int] = []
"""Process that has begun or joined a Ray which nobody had before."""


def start_ray(settings: Settings) -> int:
    """Join the cluster that is there, or start Ray on this machine.

    Returns:
        GPUs of the cluster.
    """
    if not ray.is_initialized():
        _OWN.append(os.getpid())
        joins = "RAY_ADDRESS" in os.environ
        wanted = settings.training.workers
        cpus = max(os.cpu_count() or 1, 1 if wanted == "auto" else wanted)
        try:
            with watched(), noted_processes(), kept_signals(), nullcontext() if joins else _fewer_servers():
                ray.init(
                    address=None if joins else "local",
                    num_cpus=None if joins else cpus,
                    object_store_memory=None if joins else OBJECT_STORE_BYTES,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    **({} if joins else _own_place()),
                )
        except BaseException:
            # Where none has begun, nothing of it is to be seen in this process.
            _OWN.clear()
            _SESSION.close()
            raise
        # Where a process is killed, Ray prints seventy lines of its log: they belong into ours.
        ray._private.worker.print_to_stdstream = _log_messages
    with watched():
        return int(ray.cluster_resources().get("GPU", 0))


def ends_with_us() -> bool:
    """Whether the Ray that runs is one that :func:`start_ray` began in this process, and ends with it."""
    return os.getpid() in _OWN and "RAY_ADDRESS" not in os.environ


def stop_ray() -> None:
    """End, or leave, the Ray that :func:`start_ray` began or joined in this process; one that was there before goes on.

    Starting Spark forks this process, and Ray's connections don't survive that: a second training would wait for good.
    """
    if os.getpid() in _OWN and ray.is_initialized():
        ray.shutdown()
        _OWN.clear()
        _SESSION.close()


def _log_messages(data: Mapping[str, Any], ignore_prefix: bool) -> None:
    """What Ray's processes tell the driver, for those who ask for details."""
    for line in data["lines"]:
        log.debug("%s: %s", data["pid"], line)


def _own_place() -> dict[str, Any]:
    """Where a Ray of our own keeps its session, and has it listen on this machine alone, behind a token of its own.

    What a process that was killed has left, its folder and processes that are still at work in it, goes first.
    """
    folder = _SESSION.enter_context(scratch_folder(None, "ray", "", end_processes))
    _SESSION.enter_context(_listening_here())
    # Sockets are in it, and their paths are limited.
    return {"_temp_dir": str(folder)} if len(str(folder)) <= MOST_PATH else {}


@contextmanager
def _listening_here() -> Iterator[None]:
    """Have every process of a Ray that begins listen on the loopback address, which Ray does where it has no cluster.

    Its token is in the environment, for this user's eyes; Ray would write it to a file that everybody may read.
    """
    clusters = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        with behind_token({ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR: "0"}):
            yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = clusters


@contextmanager
def _fewer_servers() -> Iterator[None]:
    """Have a Ray that begins leave out what nobody asks here: three programs, each of which is a second of a core.

    They are the pages of the dashboard, what reads workers' output to the driver, and what asks for machines.
    """
    kept = {name: getattr(Node, name) for name in NEEDLESS}
    for name in NEEDLESS:
        setattr(Node, name, _start_nothing)
    try:
        yield
    finally:
        for name, start in kept.items():
            setattr(Node, name, start)


def _start_nothing(*_: Any, **__: Any) -> None:
    """In place of what starts a process of Ray's."""


@contextmanager
def behind_token(
    values: Mapping[str, str], read: Callable[[], object] = lambda: AuthenticationTokenLoader.instance().reset_cache()
) -> Iterator[None]:
    """Set variables for a Ray that begins, and a token of its own among them, unless there is one.

    Args:
        values: further variables.
        read: has Ray look at them, before and after.
    """
    values = dict(values)
    if not {TOKEN, "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        values[TOKEN] = secrets.token_hex(32)
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    read()
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        read()
