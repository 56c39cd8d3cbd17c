"""The training loop: one process's part of data-parallel training; it knows nothing of who started it."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from gnnscale.arrays import prefetched
from gnnscale.batches import rank_slice
from gnnscale.config import Settings
from gnnscale.nn import repeatable_sums, set_dropout_step, sharded_tables
from gnnscale.sampling import stream_key
from gnnscale.schema import DataError
from gnnscale.training.callback import Callback, NoOpCallback
from gnnscale.training.compiled_model import compile_model
from gnnscale.training.distributed_context import DistributedContext
from gnnscale.training.memory import EVERY as TRIM_EVERY
from gnnscale.training.memory import trim_heap
from gnnscale.training.objectives.objective import TrainingBatch
from gnnscale.training.optimizer import WeightAverage, build_optimizer
from gnnscale.training.schedule import USUAL, learning_rate
from gnnscale.training.task import Task
from gnnscale.training.throughput import Throughput, total_edges
from gnnscale.training.train_result import TrainResult

log = logging.getLogger(__name__)

LOSS_EVERY = 10


@dataclass(frozen=True)
class MicroBatches:
    """What one process takes of a global batch.

    Args:
        batch: examples of the whole batch.
        weight: of its loss: 0 where the batch has fewer examples than there are processes.
        parts: of it, each with its own pass through the network.
        edges: that were sampled for them.
    """

    batch: int
    weight: float
    parts: list[TrainingBatch]
    edges: list[int | torch.Tensor]


@dataclass
class RunningStats:
    """What is gathered between two records of the loss.

    Args:
        losses: of this process, one a step.
        seeds: of the global batches.
        edges: that were sampled for this process.
        waited: seconds for batches that were not there yet.
    """

    losses: list[torch.Tensor] = field(default_factory=list)
    seeds: int = 0
    edges: list[int | torch.Tensor] = field(default_factory=list)
    waited: float = 0.0


class Trainer:
    """Trains the network of one query.

    Every random choice is a hash of (seed, epoch, step), so a run that resumes at a step goes on as the unbroken one
    would, and the sequence of global batches does not depend on the number of workers.

    Args:
        settings: the configuration.
        task: examples, network and objective of the query, for this process.
        context: of this process.
        callback: hears of progress.
    """

    def __init__(
        self,
        settings: Settings,
        task: Task[Any],
        context: DistributedContext | None = None,
        callback: Callback | None = None,
    ) -> None:
        self.settings = settings
        self.task = task
        self.context = context or DistributedContext()
        self.callback = callback or NoOpCallback()
        self.model = task.model
        self.average = WeightAverage(self.model, settings.training.average_decay)
        self.optimizer = build_optimizer(self.model, settings.training)
        self.tables = sharded_tables(self.model)
        self.history: list[dict[str, float]] = []
        self.losses: list[tuple[int, float]] = []
        self.best: dict[str, float] = {}
        self.best_weights: dict[str, torch.Tensor] = {}
        self.epoch = 0
        self.step = 0
        """Steps of the epoch that are done."""
        self.seen = 0
        """Examples that the weights have learned from, each as often as it came."""
        self._peak = USUAL
        """Of the learning rate."""
        self._recent = RunningStats()
        self._lately, self._throughput = Throughput(self.context.device), Throughput(self.context.device)
        """Since the last record of the loss, and of the epoch."""
        self._validation_model: nn.Module | None = None

    def run(self, resume: Mapping[str, Any] | None = None) -> TrainResult:
        """Train to the end.

        Args:
            resume: a checkpoint that the callback was given before.
        """
        with repeatable_sums(self.context.device):
            return self._run(resume)

    def _run(self, resume: Mapping[str, Any] | None) -> TrainResult:
        if resume:
            self._restore(resume)
        settings = self.settings.training
        compile_model(self.model, settings, self.context.device)
        model: nn.Module = self.model
        if self.context.workers > 1:
            model = DistributedDataParallel(self.model, broadcast_buffers=False)
        steps = len(self.task.batches(0))
        total = settings.epochs * steps
        self._peak = settings.learning_rate or self.task.peak_rate(total)
        if settings.learning_rate is None and self._peak != USUAL and self.context.rank == 0:
            log.info("the learning rate rises to %.2g, for %d steps; training.learning_rate sets it", self._peak, total)
        for epoch in range(self.epoch, settings.epochs):
            self.model.train()
            loss = float("nan")
            self._throughput.restart()
            self._lately.restart()
            self._recent = RunningStats()
            for step, batch in self._micro_batches(epoch):
                loss = self._step(model, batch, epoch, step, steps)
                self.step, self.seen = step + 1, self.seen + batch.batch
                if self._wants_checkpoint(epoch * steps + step, last=step == steps - 1):
                    figures = {"epoch": float(epoch), "step": float(self.step), "loss": loss}
                    self.callback.on_checkpoint(figures, self.checkpoint())
            self.epoch, self.step = epoch + 1, 0
            figures = {"epoch": float(epoch + 1), "loss": loss} | self._throughput.figures()
            figures = self._validate(figures)
            self.callback.on_validation(figures, self.checkpoint())
            if self._out_of_patience():
                metric = self.task.selection.metric
                log.info("no better %s for %d validations; training stops", metric, settings.patience)
                break
        return TrainResult.from_checkpoint(self.checkpoint())

    def checkpoint(self) -> dict[str, Any]:
        """Everything that resuming needs; rank 0's alone holds sharded tables, and all have to ask."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "seen": self.seen,
            "model": self.model.state_dict(),
            "average": self.average.state,
            "optimizer": self.optimizer.state_dict(),
            "tables": {name: table.gather() for name, table in self.tables.items()},
            "best_weights": self.best_weights,
            "best": self.best,
            "history": self.history,
            "losses": self.losses,
            "kept": self.task.selection.metric,
            "description": self.task.description(),
        }

    def _restore(self, checkpoint: Mapping[str, Any]) -> None:
        self.model.load_state_dict(checkpoint["model"])
        self.average.state = {name: value.to(self.context.device) for name, value in checkpoint["average"].items()}
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        for name, table in self.tables.items():
            table.load(checkpoint["tables"][name])
        self.epoch, self.step, self.seen = (checkpoint[name] for name in ("epoch", "step", "seen"))
        self.best_weights, self.best = checkpoint["best_weights"], checkpoint["best"]
        self.history, self.losses = list(checkpoint["history"]), list(checkpoint["losses"])

    def _wants_checkpoint(self, done: int, last: bool) -> bool:
        """Whether to keep the state after step ``done`` of all."""
        every = self.settings.training.checkpoint_steps
        # Only where a loss was recorded just now: the others of a record are each process's own.
        if not every or last or self._recent.losses:
            return False
        return (done + 1) // every > max(0, done + 1 - LOSS_EVERY) // every

    def _micro_batches(self, epoch: int) -> Iterator[tuple[int, MicroBatches]]:
        """This process's share of every batch that is left of the epoch, with the number of its step."""
        batches = self.task.batches(epoch)
        left = range(self.step, len(batches))
        jobs = (partial(self._prepare, batches[step], epoch, step) for step in left)
        prefetch = self.settings.training.prefetch
        prepared = prefetched(jobs, (2 if self.context.device.type == "cuda" else 0) if prefetch is None else prefetch)
        for step in left:
            started = time.monotonic()
            batch = next(prepared)
            self._recent.waited += time.monotonic() - started
            yield step, batch

    def _prepare(self, rows: NDArray[np.int64], epoch: int, step: int) -> MicroBatches:
        mine, weight = rank_slice(rows, self.context.rank, self.context.workers), 1.0
        if len(mine) == 0:
            # More workers than examples: take part in the all-reduce without a say.
            mine, weight = rows[:1], 0.0
        # As many on every process: each part is a pass through tables that all take part in.
        least = max(1, len(rows) // self.context.workers)
        parts = np.array_split(mine, min(least, self.settings.training.micro_batches))
        prepared = [self.task.prepare(part, epoch, step) for part in parts]
        return MicroBatches(len(rows), weight, prepared, [part.edges for part in prepared])

    def _step(self, model: nn.Module, batch: MicroBatches, epoch: int, step: int, steps: int) -> float:
        settings, context = self.settings.training, self.context
        set_dropout_step(self.model, int(stream_key(self.settings.seed, epoch, f"dropout/{step}") >> np.uint64(1)))
        done = epoch * steps + step
        total = settings.epochs * steps
        rate = learning_rate(settings, self._peak, done, total)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        total_loss = torch.zeros((), device=context.device)
        for number, part in enumerate(batch.parts, start=1):
            last = number == len(batch.parts)
            # Gradients are summed over the parts before they are averaged over workers.
            together = model.no_sync() if isinstance(model, DistributedDataParallel) and not last else nullcontext()
            if settings.cuda_graphs:
                # What a graph gave for the part before may be overwritten.
                torch.compiler.cudagraph_mark_step_begin()
            with together:
                with torch.autocast(context.device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
                    loss = self.task.loss(model, part)
                # The average over workers makes this the mean over the global batch.
                scaled = loss.float() * (batch.weight * context.workers / batch.batch)
                scaled.backward()
            total_loss += scaled.detach()
        nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip_norm)
        self.optimizer.step()
        for table in self.tables.values():
            table.update(rate)
        self.average.update(self.model, done + 1)
        if done % TRIM_EVERY == 0:
            trim_heap()
        self._recent.losses.append(total_loss)
        self._recent.seeds += batch.batch
        self._recent.edges += batch.edges
        figures = {"epoch": epoch, "step": done + 1, "steps": total, "loss": float("nan"), "workers": context.workers}
        if done % LOSS_EVERY == 0 or step == steps - 1:
            figures |= self._record(done)
        self.callback.on_step(figures)
        return figures["loss"]

    def _record(self, step: int) -> dict[str, float]:
        """The mean loss and the throughput of the steps since the last record, over all processes."""
        recent, self._recent = self._recent, RunningStats()
        edges = total_edges(recent.edges, self.context.device)
        own = torch.stack([torch.stack(recent.losses).mean().double(), edges])
        loss, sampled = self.context.total(own).tolist()
        if not math.isfinite(loss):
            # Every process has the same sum, so that all of them end here.
            raise DataError(
                f"the training loss is {loss} by step {step + 1:,}: a lower training.learning_rate may keep it finite; "
                "else an input or a label is too large"
            )
        self.losses.append((step, loss / self.context.workers))
        for throughput in (self._lately, self._throughput):
            throughput.count(recent.seeds, int(sampled), recent.waited)
        figures = {"loss": loss / self.context.workers} | self._lately.figures()
        self._lately.restart()
        return figures

    def _validate(self, beside: Mapping[str, float]) -> dict[str, float]:
        if self._validation_model is None:
            self._validation_model = copy.deepcopy(self.model)
        self._validation_model.load_state_dict(self.average.state)
        figures = self.task.validate(self._validation_model)
        figures |= beside
        self.history.append(figures)
        metric = self.task.selection.metric
        if not self.best and math.isnan(figures[metric]) and self.context.rank == 0:
            log.warning("validation %s is undefined, as where all validation examples are of one class", metric)
        if not self.best or self.task.selection.better(figures, self.best):
            self.best = figures
            self.best_weights = {name: value.detach().cpu().clone() for name, value in self.average.state.items()}
            # Under the names that plain tables have, which is how a model is read back.
            for name, table in self.tables.items():
                self.best_weights |= {f"{name}.weight": whole for whole in table.gather().values() if whole.ndim == 2}
        return figures

    def _out_of_patience(self) -> bool:
        since = len(self.history) - 1 - self.history.index(self.best)
        return since >= self.settings.training.patience
