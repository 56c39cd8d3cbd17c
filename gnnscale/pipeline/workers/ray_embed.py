"""Batch inference of embeddings over Ray actors: each loads the model once, and takes one partition after the other."""

from __future__ import annotations

import logging
import math
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ray
import torch
from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError

from gnnscale.config import Settings
from gnnscale.inference import (
    BatchInference,
    InferenceSummary,
    InferenceTask,
    PartitionEncoder,
    PreparedInference,
    embed,
    finish_inference,
    inference_rows,
    prepare_inference,
)
from gnnscale.lake import Lake
from gnnscale.pipeline.open_graph import open_graph
from gnnscale.pipeline.workers.local_ray import start_ray, stop_ray
from gnnscale.pipeline.workers.lost_processes import watched
from gnnscale.pipeline.workers.ray_train import WorkerSettings
from gnnscale.schema import GnnscaleError

log = logging.getLogger(__name__)

SMALL = 200_000
"""Rows up to which one process is done before Ray has started others that would help."""

Advance = Callable[[int], None]


def embed_lake(
    settings: Settings, lake: Lake, anchors: Sequence[int], advance: Advance = lambda rows: None, run_nonce: str = ""
) -> InferenceSummary:
    """Write the embeddings of a query by as many processes as ``embedding.workers`` says.

    Args:
        settings: as the model was trained with; section ``embedding`` counts too.
        lake: holds the graph and the model.
        anchors: epoch seconds; rows of each are written.
        advance: called with the number of rows that are done.
        run_nonce: a word that no run of these inputs had, to make what is there again.

    Raises:
        GnnscaleError: the model is missing or does not fit, GPUs are asked for and there are none, or more than
            ``embedding.max_failures`` workers were lost.
    """
    store, query = open_graph(settings, lake)
    workers = settings.embedding.workers
    if workers == 1 or (workers == "auto" and inference_rows(store, query, anchors) <= SMALL):
        gpus = torch.cuda.device_count()
        _check_gpus(settings, gpus)
        device = torch.device("cuda" if gpus and settings.training.gpu != "no" else "cpu")
        return embed(settings, lake, store, anchors, device, advance, run_nonce)
    try:
        gpus = start_ray(settings)
        _check_gpus(settings, gpus)
        gpus = 0 if settings.training.gpu == "no" else gpus
        if settings.embedding.method == "layerwise":
            with watched():
                _check_hosts(ray.nodes(), socket.gethostname())
        prepared = prepare_inference(settings, lake, store, anchors, "cuda" if gpus else "cpu", run_nonce)
        advance(prepared.done)
        if prepared.tasks:
            with watched():
                _run(settings, prepared, gpus, advance)
        return finish_inference(lake, prepared)
    finally:
        stop_ray()


def _check_gpus(settings: Settings, gpus: int) -> None:
    if settings.training.gpu == "yes" and not gpus:
        raise GnnscaleError("training.gpu=yes asks for a GPU, and there is none; set it to auto or no")


def _check_hosts(nodes: Sequence[Mapping[str, Any]], here: str) -> None:
    """Refuse workers that would not see the layers, which the driver finds, and removes, on its own disk.

    Args:
        nodes: of the cluster, as Ray lists them.
        here: name of the driver's host.

    Raises:
        GnnscaleError: a worker may be started elsewhere.
    """
    # A node without cores gets no worker.
    hosts = {node["NodeManagerHostname"] for node in nodes if node["Alive"] and node["Resources"].get("CPU")}
    if others := sorted(hosts - {here}):
        named = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
        raise GnnscaleError(
            f"embedding.method=layerwise keeps states in files of the driver's host, {here}, and Ray may start workers "
            f"on {named}; set it to sampled, or embedding.workers to 1"
        )


def _places(settings: Settings, gpus: int) -> tuple[int, dict[str, float]]:
    """How many workers, and what each takes of the cluster; 0 GPUs where the CPU is taken."""
    cpus = ray.cluster_resources().get("CPU", 1)
    wanted = settings.embedding.workers
    workers = max(1, gpus or int(cpus)) if wanted == "auto" else wanted
    # More than there is room for share a core, or a GPU, which keeps one busy that waits for samples.
    share = {"num_cpus": min(1.0, cpus / workers)}
    return workers, share | ({"num_gpus": 1 / math.ceil(workers / gpus)} if gpus else {})


def _run(settings: Settings, prepared: PreparedInference, gpus: int, advance: Advance) -> None:
    """Hand out the tasks, one a worker at a time; a task whose worker is lost goes to the next that is free."""
    workers, share = _places(settings, gpus)
    device = "cuda" if gpus else "cpu"
    sent, inference = ray.put(WorkerSettings.of(settings)), ray.put(prepared.inference)

    def start_workers() -> Any:
        return _Encoder.options(**share).remote(sent, device)  # type: ignore[attr-defined]

    most = max(map(len, prepared.in_order()))
    idle = [start_workers() for _ in range(min(workers, most))]
    busy: dict[Any, tuple[Any, InferenceTask]] = {}
    lost = 0
    try:
        for tasks in prepared.in_order():
            waiting = deque(tasks)
            while waiting or busy:
                while waiting and idle:
                    worker, task = idle.pop(), waiting.popleft()
                    busy[worker.run.remote(inference, task)] = worker, task
                done, _ = ray.wait(list(busy), num_returns=1)
                worker, task = busy.pop(done[0])
                try:
                    ray.get(done[0])
                except (RayActorError, OutOfMemoryError) as error:
                    lost += 1
                    if lost > settings.embedding.max_failures:
                        raise GnnscaleError(
                            f"batch inference has lost {lost} workers, more than embedding.max_failures="
                            f"{settings.embedding.max_failures}; what is finished stays, so run it again: {error}"
                        ) from error
                    log.warning("a worker was lost; its %d rows are done again", len(task))
                    waiting.appendleft(task)
                    idle.append(start_workers())
                except RayTaskError as error:
                    raise (error.cause if isinstance(error.cause, GnnscaleError) else error) from None
                else:
                    idle.append(worker)
                    advance(len(task))
    finally:
        for worker in (*idle, *(worker for worker, _ in busy.values())):
            ray.kill(worker)


@ray.remote(max_restarts=0, max_task_retries=0)
class _Encoder:
    """Holds the model and the graph, which it opens with its first task: a fault in them is that task's error."""

    def __init__(self, sent: WorkerSettings, device: str) -> None:
        self._settings, self._device = sent.open(), torch.device(device)
        self._encoder: PartitionEncoder | None = None

    def run(self, inference: BatchInference, task: InferenceTask) -> None:
        if self._encoder is None:
            lake = Lake(self._settings.lake.uri, self._settings.lake.storage_options)
            store, _ = open_graph(self._settings, lake)
            self._encoder = PartitionEncoder(self._settings, lake, store, self._device)
        self._encoder.run(inference, task)
