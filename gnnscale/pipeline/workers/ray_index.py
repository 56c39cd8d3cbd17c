"""Shards of an index in Ray actors: one each, on any machine of the cluster, replaced where they are lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import ray
from ray.exceptions import ObjectLostError, OutOfMemoryError, RayActorError, RayTaskError
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from gnnscale.config import Settings
from gnnscale.pipeline.workers.local_ray import start_ray, stop_ray
from gnnscale.pipeline.workers.lost_processes import watched
from gnnscale.retrieval import OpenShard, Question, ShardPool, StartShards, TargetShard
from gnnscale.schema import Added, GnnscaleError, add_implementations, added_implementations

log = logging.getLogger(__name__)

T = TypeVar("T")

ROOM_SECONDS = 120.0
"""Shards wait so long for room, in which a cluster may grow."""
MAX_FAILURES = 3
"""Lost actors after which a pool gives up."""


@contextmanager
def ray_shards(
    settings: Settings, room_seconds: float = ROOM_SECONDS, max_failures: int = MAX_FAILURES
) -> Iterator[StartShards]:
    """What starts the processes of shards; Ray begins with the first of them, and ends with the context.

    Args:
        settings: the configuration.
        room_seconds: that shards wait for room on the cluster.
        max_failures: lost actors after which a pool gives up.
    """

    @contextmanager
    def start_workers(opens: Sequence[OpenShard], needed: int) -> Iterator[ShardPool]:
        start_ray(settings)
        with watched():
            share = cpu_share([node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]], len(opens))
            gpus = 1 if settings.retrieval.index.device == "cuda" else 0
            group = _reserve({"CPU": share, "memory": needed, "GPU": gpus}, len(opens), room_seconds)
            pool = _RayPool(opens, group, max_failures)
            try:
                yield pool
            finally:
                pool.end()
                remove_placement_group(group)

    try:
        yield start_workers
    finally:
        stop_ray()


def cpu_share(cpus: Sequence[float], shards: int) -> float:
    """Most cores that each of so many shards can have, by the cores of each machine.

    Ray deals in whole cores past one, and in hundredths below.
    """
    shares = sorted({machine / part for machine in cpus for part in range(1, shards + 1) if machine > 0}, reverse=True)
    for share in shares:
        whole = float(int(share)) if share >= 1 else int(share * 100) / 100
        if whole > 0 and sum(int(machine / whole + 1e-9) for machine in cpus) >= shards:
            return whole
    return 0.01


def _reserve(room: Mapping[str, float], shards: int, seconds: float) -> PlacementGroup:
    """Room for every shard at once, on as many machines as there are.

    Raises:
        GnnscaleError: the cluster has not got it in time.
    """
    bundle = {name: amount for name, amount in room.items() if amount}
    group = placement_group([bundle] * shards, strategy="SPREAD")
    if group.wait(seconds):
        return group
    remove_placement_group(group)
    each = f"{room['memory'] / 1e9:.1f} GB of memory, {room['CPU']:g} cores and {room['GPU']:g} GPUs"
    there = ray.cluster_resources()
    has = f"{there.get('memory', 0) / 1e9:.1f} GB, {there.get('CPU', 0):g} cores and {there.get('GPU', 0):g} GPUs"
    raise GnnscaleError(
        f"no room within {seconds:g} s for retrieval.index.shards={shards} with {each} each; the cluster has {has} in "
        "all, some of which may be in use. Add machines, or take more and smaller shards"
    )


class _RayPool:
    """Actors, each in its own part of a reservation.

    Args:
        opens: make the shards, each in its actor.
        group: has a bundle for each.
        max_failures: lost actors after which the pool gives up.
    """

    def __init__(self, opens: Sequence[OpenShard], group: PlacementGroup, max_failures: int) -> None:
        self._opens, self._group, self._max_failures = opens, group, max_failures
        self._lost, self._lock = 0, threading.Lock()
        self._actors = [self._start_workers(number) for number in range(len(opens))]

    def ask(self, questions: Mapping[int, Question[T]]) -> dict[int, T]:
        """Answers of some shards; see :class:`ShardPool`.

        Raises:
            GnnscaleError: a fault of the input, or too many actors were lost.
        """
        sent = {id(question): ray.put(question) for question in questions.values()}
        waiting: dict[Any, tuple[int, Any]] = {}

        def send(number: int) -> None:
            actor = self._actors[number]
            waiting[actor.ask.remote(sent[id(questions[number])])] = number, actor

        for number in questions:
            send(number)
        found: dict[int, T] = {}
        while waiting:
            done, _ = ray.wait(list(waiting), num_returns=1)
            number, actor = waiting.pop(done[0])
            try:
                found[number] = ray.get(done[0])
            except (RayActorError, OutOfMemoryError, ObjectLostError) as error:
                self._replace(number, actor, error)
                send(number)
            except RayTaskError as error:
                raise (error.cause if isinstance(error.cause, GnnscaleError) else error) from None
        return found

    def end(self) -> None:
        """End all actors."""
        for actor in self._actors:
            ray.kill(actor)

    def _replace(self, number: int, actor: Any, error: Exception) -> None:
        """Put another actor in a lost one's place, unless another thread's question has found it lost before."""
        with self._lock:
            if self._actors[number] is not actor:
                return
            self._lost += 1
            if self._lost > self._max_failures:
                raise GnnscaleError(
                    f"{self._lost} actors that hold shards of the index were lost, more than {self._max_failures}: "
                    f"{error}"
                ) from error
            log.warning("the actor of shard %d was lost; another opens it, and is asked again", number)
            ray.kill(actor)
            self._actors[number] = self._start_workers(number)

    def _start_workers(self, number: int) -> Any:
        bundle = self._group.bundle_specs[number]
        return _ShardActor.options(  # type: ignore[attr-defined]
            num_cpus=bundle["CPU"],
            num_gpus=bundle.get("GPU", 0),
            memory=bundle["memory"],
            scheduling_strategy=PlacementGroupSchedulingStrategy(self._group, number),
        ).remote(self._opens[number], max(1, int(bundle["CPU"])), added_implementations())


@ray.remote(max_restarts=0, max_task_retries=0)
class _ShardActor:
    """Holds a shard, which it opens with its first question: a fault in it is that question's error."""

    def __init__(self, opens: OpenShard, threads: int, added: Added) -> None:
        add_implementations(added)
        self._open, self._threads = opens, threads
        self._shard: TargetShard | None = None

    def ask(self, question: Question[T]) -> T:
        if self._shard is None:
            self._shard = self._open(self._threads)
        return question(self._shard)
