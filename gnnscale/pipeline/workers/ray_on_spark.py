"""A Ray on the machines of a Spark cluster: a node in the place of each executor, for as long as work needs them."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import ray
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

from gnnscale.arrays import kept_signals
from gnnscale.pipeline.failures import first_line
from gnnscale.pipeline.workers.local_ray import OBJECT_STORE_BYTES, TOKEN, behind_token
from gnnscale.schema import GnnscaleError

if TYPE_CHECKING:
    from gnnscale.etl import SparkSession

EXECUTOR_SECONDS: Final = 120
"""That a cluster may take until it has the first executor."""

_HOOK: Final = "RAY_ON_SPARK_START_HOOK"
_MODE: Final = "RAY_AUTH_MODE"


@contextmanager
def ray_on_spark(session: SparkSession | None = None) -> Iterator[str | None]:
    """Have a Ray on the executors of a Spark session, and end it afterwards.

    Training, embedding and retrieval within join it. Its nodes have the cores and GPUs of the executors, and Spark has
    none for its own tasks until it ends; the head is where this program runs, and takes no work. A token of its own
    guards it. Where Spark has no cluster but is on this machine alone, there is nothing to start: Ray begins here by
    itself then, with all cores and GPUs.

    Args:
        session: of Spark; None: the active one.

    Yields:
        Address of Ray; None where Spark is on this machine alone.

    Raises:
        GnnscaleError: there is no session, it is one of Spark Connect, a Ray is there already, or it does not start.
    """
    from gnnscale.etl import running_session

    session = session or running_session()
    if session is None:
        raise GnnscaleError("there is no Spark session for a Ray to be on: open one, or give it")
    if not hasattr(session, "_jsparkSession"):
        raise GnnscaleError("a Ray can't be on Spark Connect, which reaches no executor: take a classic session")
    if "RAY_ADDRESS" in os.environ or ray.is_initialized():
        raise GnnscaleError("a Ray is there already (RAY_ADDRESS, or ray.init): it is joined without this")
    master = session.sparkContext.master or ""
    if master.startswith("local") and not master.startswith("local-cluster"):
        yield None
        return
    guarded = {_MODE: "token", _HOOK: f"{__name__}.TokenHook"}
    # Sockets are in this folder, and their paths are limited.
    with (
        TemporaryDirectory(prefix="gs-", ignore_cleanup_errors=True) as folder,
        behind_token(guarded, _read_again),
    ):
        from ray.util.spark import MAX_NUM_WORKER_NODES, setup_ray_cluster, shutdown_ray_cluster

        # What Ray has to say of the size of executors is advice for other work than ours.
        logging.getLogger("ray.util.spark").setLevel(logging.ERROR)
        try:
            with kept_signals():
                address, _ = setup_ray_cluster(
                    max_worker_nodes=MAX_NUM_WORKER_NODES,
                    object_store_memory_worker_node=OBJECT_STORE_BYTES,
                    head_node_options={"disable_usage_stats": None, "include_dashboard": False},
                    worker_node_options={"disable_usage_stats": None},
                    ray_temp_root_dir=folder,
                    **_executor_size(session),
                )
        except RuntimeError as error:
            raise GnnscaleError(f"Ray does not start on Spark: {first_line(error.__cause__ or error)}") from error
        try:
            yield address
        finally:
            if ray.is_initialized():
                ray.shutdown()
            shutdown_ray_cluster()


def _executor_size(session: SparkSession) -> dict[str, Any]:
    """Cores and GPUs of an executor, for a node of Ray; none on Databricks, where it has the whole of its machine."""
    if "DATABRICKS_RUNTIME_VERSION" in os.environ:
        return {}
    context = session.sparkContext
    conf = context.getConf()
    cores = conf.get("spark.executor.cores")
    if cores is None:
        end = time.monotonic() + EXECUTOR_SECONDS
        # The driver is counted among them.
        while (executors := context._jsc.sc().getExecutorMemoryStatus().size() - 1) < 1:
            if time.monotonic() > end:
                raise GnnscaleError(f"Spark's cluster has no executor after {EXECUTOR_SECONDS} seconds")
            time.sleep(0.2)
        cores = str(max(1, context.defaultParallelism // executors))
    gpus = conf.get("spark.executor.resource.gpu.amount") or "0"
    return {"num_cpus_worker_node": int(cores), "num_gpus_worker_node": int(float(gpus))}


def _read_again() -> None:
    """Have Ray look at the environment for mode and token, of which it keeps what it has seen first."""
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


class TokenHook:
    """What Ray asks while it starts on Spark: as it would be where it runs, and the token for its nodes."""

    def __init__(self, is_global: bool = False) -> None:
        from ray.util.spark.databricks_hook import DefaultDatabricksRayOnSparkStartHook
        from ray.util.spark.start_hook_base import RayOnSparkStartHook
        from ray.util.spark.utils import is_in_databricks_runtime

        kind = DefaultDatabricksRayOnSparkStartHook if is_in_databricks_runtime() else RayOnSparkStartHook
        self._default = kind(is_global)

    def __getattr__(self, name: str) -> object:
        return getattr(self._default, name)

    def custom_environment_variables(self) -> Mapping[str, str]:
        """Of every node: its token, and a PATH that has ``ray``, which it need not where Python is run by its path."""
        token = {name: os.environ[name] for name in (_MODE, TOKEN) if name in os.environ}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        return {"PATH": path, **self._default.custom_environment_variables(), **token}
