"""Data-parallel training under Ray Train: workers, retries, checkpoints and progress."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray.train
from ray.train import (
    CheckpointConfig,
    CheckpointConsistencyMode,
    CheckpointUploadMode,
    FailureConfig,
    RunConfig,
    ScalingConfig,
    TrainingFailedError,
)
from ray.train.torch import TorchTrainer, get_device
from ray.train.v2._internal.callbacks import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback

from gnnscale.arrays import remove_left, scratch_folder
from gnnscale.config import Settings, build_settings, with_values
from gnnscale.lake import Lake
from gnnscale.pipeline.failures import first_line
from gnnscale.pipeline.open_graph import open_graph
from gnnscale.pipeline.workers.fixed_workers import FixedWorkers
from gnnscale.pipeline.workers.local_ray import ends_with_us, start_ray
from gnnscale.pipeline.workers.lost_processes import watched
from gnnscale.pipeline.workers.process_group import NodeTorchConfig
from gnnscale.pipeline.workers.worker_count import count_workers
from gnnscale.pipeline.workers.worker_threads import share_cores
from gnnscale.schema import Added, GnnscaleError, LostProcessError, add_implementations, added_implementations
from gnnscale.training import DistributedContext, Trainer, TrainResult, build_task, read_checkpoint, write_checkpoint

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"

POLL_SECONDS = 0.5

SENDING_SECONDS = 10.0
"""How long a worker that fails waits for checkpoints that are on their way to the storage."""

Hear = Callable[[str, Mapping[str, float]], None]
"""Called with ``step`` or ``validation`` and the figures."""


def train_with_ray(settings: Settings, hear: Hear, storage: Path | str) -> TrainResult:
    """Train the query of the configuration on as many workers as it says.

    A worker that is lost is replaced, and training resumes from the last checkpoint.

    Args:
        settings: with graph and labels in its lake.
        hear: called with progress, in this process.
        storage: folder or URI, reached by every worker, that Ray Train keeps checkpoints in.

    Raises:
        GnnscaleError: GPUs are asked for and there are none, or training failed for a reason of the input's.
    """
    gpus = start_ray(settings)
    done, callback = threading.Event(), None
    try:
        with watched():
            scaling = _find_scaling(settings, gpus)
            progress = _Progress.options(num_cpus=0).remote()  # type: ignore[attr-defined]
            trainer = _make_trainer(settings, storage, scaling, progress)
            thread = threading.Thread(target=_listen, args=(progress, hear, done), daemon=True)
            thread.start()
            callback = thread
            result = trainer.fit()
    except TrainingFailedError as error:
        for failure in getattr(error, "worker_failures", {}).values():
            if (fault := input_fault(failure)) is not None:
                raise fault from error
            if lost := _lost_worker(failure):
                raise LostProcessError(
                    f"training has lost more workers than training.max_failures={settings.training.max_failures} "
                    f"({first_line(lost)}): something has killed them, as the kernel does where memory is short"
                ) from error
        raise
    except ray.exceptions.RayActorError as error:
        raise LostProcessError(
            f"what leads the training is gone ({first_line(error)}): something has killed it, as the kernel does where "
            "memory is short; run again"
        ) from error
    finally:
        done.set()
        if callback is not None:
            # Where Ray is gone, what is asked of it may never be answered.
            callback.join(SENDING_SECONDS / 2)
        remove_left(*_unsent(settings))
    if result.checkpoint is None:
        raise GnnscaleError("training ended without a checkpoint")
    with result.checkpoint.as_directory() as folder:
        return TrainResult.from_checkpoint(read_checkpoint(Path(folder) / CHECKPOINT))


def _find_scaling(settings: Settings, gpus: int) -> ScalingConfig:
    """How many workers there are, and what each has.

    Raises:
        GnnscaleError: GPUs are asked for and there are too few.
    """
    lake = Lake(settings.lake.uri, settings.lake.storage_options)
    least = count_workers(settings, lake, gpus, int(ray.cluster_resources().get("CPU", 1)))
    most = settings.training.max_workers
    use_gpu = settings.training.gpu == "yes" or (settings.training.gpu == "auto" and gpus >= least)
    if settings.training.gpu == "auto" and 0 < gpus < least:
        log.warning("%d GPUs are fewer than training.workers=%d, so training takes the CPU", gpus, least)
    if settings.training.gpu == "yes" and gpus < least:
        raise GnnscaleError(f"training.gpu=yes asks for {least} GPUs, one a worker, and Ray has {gpus}")
    # Its type checkers see the class of Ray Train's first version.
    return ScalingConfig(  # type: ignore[call-arg]
        num_workers=least if most is None else (least, most),  # type: ignore[arg-type]
        use_gpu=use_gpu,
        resources_per_worker=_share(least, most is not None, use_gpu),
        elastic_resize_monitor_interval_s=settings.training.resize_seconds,
    )


def _make_trainer(settings: Settings, storage: Path | str, scaling: ScalingConfig, progress: Any) -> TorchTrainer:
    """What trains the query on the workers."""
    return _QuietTrainer(
        _train_worker,
        train_loop_config={"settings": WorkerSettings.of(settings), "progress": progress},
        torch_config=NodeTorchConfig(backend="nccl" if scaling.use_gpu else "gloo"),
        scaling_config=scaling,
        run_config=RunConfig(
            name=f"{settings.query.name}-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:12]}",
            storage_path=str(storage),
            failure_config=FailureConfig(max_failures=settings.training.max_failures),
            checkpoint_config=CheckpointConfig(num_to_keep=2),
        ),
    )


@dataclass(frozen=True)
class WorkerSettings:
    """The configuration on its way to a worker, with what this program has registered by itself.

    Args:
        content: with absolute paths: workers have a working folder of their own.
        added: implementations that a worker would not find.
    """

    content: dict[str, Any]
    added: Added

    @classmethod
    def of(cls, settings: Settings) -> WorkerSettings:
        """For workers that are to do what this process would."""
        content = settings.model_dump(mode="json")
        content["lake"]["uri"] = Lake(settings.lake.uri, settings.lake.storage_options).uri
        if settings.lake.cache:
            content["lake"]["cache"] = str(Path(settings.lake.cache).absolute())
        return cls(content, added_implementations())

    def open(self, values: Mapping[str, Any] | None = None) -> Settings:
        """The configuration, in the worker.

        Args:
            values: dotted keys that are other there.
        """
        add_implementations(self.added)
        return build_settings(with_values(self.content, dict(values)) if values else self.content)


def input_fault(failure: BaseException) -> GnnscaleError | None:
    """The fault in the input behind what failed in a worker, of its own class; None where it was something else.

    Args:
        failure: as Ray gives it: the error itself, or what wraps it.
    """
    inner = getattr(failure, "cause", failure)
    return inner if isinstance(inner, GnnscaleError) else None


def _lost_worker(failure: BaseException) -> BaseException | None:
    """The loss of its process behind what failed in a worker; None where that lives."""
    for link in (failure, getattr(failure, "health_check_failure", None), getattr(failure, "cause", None)):
        if isinstance(link, ray.exceptions.RayActorError | ray.exceptions.OutOfMemoryError):
            return link
    return None


def _share(workers: int, elastic: bool, use_gpu: bool) -> dict[str, float]:
    if elastic:
        # As many as there is room for now, and for more when a node comes.
        return {"CPU": 1.0} | ({"GPU": 1.0} if use_gpu else {})
    # A worker has to fit on one node.
    smallest = min(node["Resources"].get("CPU", 1) for node in ray.nodes() if node["Alive"])
    cpus = min(ray.cluster_resources().get("CPU", 1), smallest * workers)
    share = {"CPU": max(1.0, cpus // workers) if cpus >= workers else cpus / workers}
    return share | ({"GPU": 1.0} if use_gpu else {})


class _QuietTrainer(TorchTrainer):
    """Leaves Ctrl-C to who called: Ray's handler would end the training without a word, and stay when it has ended."""

    def _register_sigint_handler(self, controller: Any) -> None:
        """Nothing."""

    def _create_default_callbacks(self) -> list[Any]:
        """Those of every training, without processes that have nothing to do here.

        There are no data sets of Ray Data; and what a controller that is lost has reserved ends with a Ray of our own.
        """
        needless = (DatasetsCallback, PlacementGroupCleanerCallback) if ends_with_us() else (DatasetsCallback,)
        # Type checkers see the class of Ray Train's first version.
        every = super()._create_default_callbacks()  # type: ignore[misc]
        return [own for own in every if not isinstance(own, needless)]

    def _initialize_and_run_controller(self, **given: Any) -> Any:
        """With no autoscaler where there is none."""
        if ends_with_us() and not given["scaling_policy"].scaling_config.elasticity_enabled:
            given["scaling_policy"] = FixedWorkers(given["scaling_policy"].scaling_config)
        return super()._initialize_and_run_controller(**given)  # type: ignore[misc]


def _train_worker(config: dict[str, Any]) -> None:
    settings = config["settings"].open()
    ray_context = ray.train.get_context()
    host_workers = max(1, ray_context.get_local_world_size())
    own = ray_context.get_world_rank(), ray_context.get_world_size(), get_device()
    context = DistributedContext(*own, host_workers)
    settings = share_cores(settings, max(1, (os.cpu_count() or 1) // host_workers), context.device.type == "cuda")
    lake = Lake(settings.lake.uri, settings.lake.storage_options)
    store, query = open_graph(settings, lake, edges=settings.training.source == "memory")
    task = build_task(settings, lake, store, query, context)
    with _unsent_folder(settings, context) as unsent:
        trainer = Trainer(settings, task, context, _RayCallback(context.rank, config["progress"], unsent))
        trainer.run(_last_checkpoint())


def _last_checkpoint() -> dict[str, Any] | None:
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as folder:
        return read_checkpoint(Path(folder) / CHECKPOINT)


def _unsent(settings: Settings) -> tuple[None, str, str]:
    """Where checkpoints are written that then go to the storage; see :func:`scratch_folder`."""
    lake = Lake(settings.lake.uri, settings.lake.storage_options)
    return None, "checkpoints", f"{lake.uri} {settings.query.name}"


@contextmanager
def _unsent_folder(settings: Settings, context: DistributedContext) -> Iterator[Path | None]:
    """A folder of rank 0's own host for as long as it trains, and until what is in it has been sent; else None."""
    if context.rank != 0:
        # Rank 0 may have been here, and have been killed; the run goes on from what the storage has.
        remove_left(*_unsent(settings))
        yield None
        return
    with scratch_folder(*_unsent(settings)) as unsent:
        try:
            yield unsent
        except BaseException:
            # A file that is gone before it is sent would be the error that is reported, and not this one.
            end = time.monotonic() + SENDING_SECONDS
            while any(path.is_dir() for path in unsent.iterdir()) and time.monotonic() < end:
                time.sleep(0.1)
            raise
        ray.train.get_all_reported_checkpoints(CheckpointConsistencyMode.COMMITTED)


class _RayCallback:
    """Sends rank 0's progress to the driver, and every rank's reports to Ray Train."""

    def __init__(self, rank: int, progress: Any, unsent: Path | None) -> None:
        self.rank, self.progress, self.unsent = rank, progress, unsent

    def on_step(self, figures: Mapping[str, float]) -> None:
        if self.rank == 0:
            self.progress.put.remote("step", dict(figures))

    def on_checkpoint(self, figures: Mapping[str, float], checkpoint: Mapping[str, Any]) -> None:
        self._report(figures, checkpoint)

    def on_validation(self, figures: Mapping[str, float], checkpoint: Mapping[str, Any]) -> None:
        if self.rank == 0:
            self.progress.put.remote("validation", dict(figures))
        self._report(figures, checkpoint)

    def _report(self, figures: Mapping[str, float], checkpoint: Mapping[str, Any]) -> None:
        """Every rank reports; what rank 0 wrote to its own disk goes to the storage while training goes on."""
        if self.unsent is None:
            ray.train.report(dict(figures))
            return
        folder = tempfile.mkdtemp(dir=self.unsent)
        write_checkpoint(checkpoint, Path(folder) / CHECKPOINT)
        ray.train.report(
            dict(figures),
            checkpoint=ray.train.Checkpoint.from_directory(folder),
            checkpoint_upload_mode=CheckpointUploadMode.ASYNC,
            delete_local_checkpoint_after_upload=True,
        )


@ray.remote
class _Progress:
    """Holds what rank 0 has said until the driver asks for it."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, float]]] = []

    def put(self, kind: str, figures: dict[str, float]) -> None:
        self.events.append((kind, figures))

    def take(self) -> list[tuple[str, dict[str, float]]]:
        events, self.events = self.events, []
        return events


def _listen(progress: Any, hear: Hear, done: threading.Event) -> None:
    while True:
        last = done.wait(POLL_SECONDS)
        try:
            for kind, figures in ray.get(progress.take.remote()):
                hear(kind, figures)
        except ray.exceptions.RayError as error:
            log.debug("progress is lost: %s", error)
            return
        if last:
            return
