"""The training loop: one process's part of data-parallel training; it knows nothing of who started it."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from gnnscale.config import Settings
from gnnscale.loading import rank_slice
from gnnscale.sampling.keys import stream_key
from gnnscale.training.memory import EVERY as TRIM_EVERY
from gnnscale.training.memory import trim_heap
from gnnscale.training.optimiser import WeightAverage, build_optimiser, learning_rate
from gnnscale.training.place import Listener, Place, Silence
from gnnscale.training.task import TrainingTask

log = logging.getLogger(__name__)

LOSS_EVERY = 10


@dataclass(frozen=True)
class Outcome:
    """What training leaves.

    Args:
        weights: averaged weights of the best validation.
        best: its figures.
        history: figures of every validation, in order.
        losses: (step, mean training loss since the entry before), one entry for each ``LOSS_EVERY`` steps.
        kept: name of the metric that decided which validation is the best.
        description: what is needed to build the network again, beside the configuration and the graph.
        seen: examples that training took, each as often as it came.
    """

    weights: dict[str, torch.Tensor]
    best: dict[str, float]
    history: list[dict[str, float]]
    losses: list[tuple[int, float]]
    kept: str
    description: dict[str, Any] = field(default_factory=dict)
    seen: int = 0

    @classmethod
    def from_checkpoint(cls, checkpoint: Mapping[str, Any]) -> Outcome:
        """What a run that ended with this checkpoint left."""
        names = ("best", "history", "losses", "kept", "description", "seen")
        return cls(checkpoint["best_weights"], *(checkpoint[name] for name in names))


class Trainer:
    """Trains the network of one query.

    Every random choice is a hash of (seed, epoch, step), so a run that resumes at a step goes on as the unbroken one
    would, and the sequence of global batches does not depend on the number of workers.

    Args:
        settings: the configuration.
        task: examples, network and objective of the query, for this process.
        place: of this process.
        listener: hears of progress.
    """

    def __init__(
        self,
        settings: Settings,
        task: TrainingTask,
        place: Place | None = None,
        listener: Listener | None = None,
    ) -> None:
        self.settings = settings
        self.task = task
        self.place = place or Place()
        self.listener = listener or Silence()
        self.model = task.model
        self.average = WeightAverage(self.model, settings.training.average_decay)
        self.optimiser = build_optimiser(self.model, settings.training)
        self.history: list[dict[str, float]] = []
        self.losses: list[tuple[int, float]] = []
        self.best: dict[str, float] = {}
        self.best_weights: dict[str, torch.Tensor] = {}
        self.epoch = 0
        self.step = 0
        """Steps of the epoch that are done."""
        self.seen = 0
        """Examples that the weights have learned from, each as often as it came."""
        self._recent: list[torch.Tensor] = []
        self._validation_model: nn.Module | None = None

    def run(self, resume: Mapping[str, Any] | None = None) -> Outcome:
        """Train to the end.

        Args:
            resume: a checkpoint that the listener was given before.
        """
        if resume:
            self._restore(resume)
        settings = self.settings.training
        model: nn.Module = self.model
        if self.place.workers > 1:
            model = DistributedDataParallel(self.model, broadcast_buffers=False)
        steps = len(self.task.batches(0))
        for epoch in range(self.epoch, settings.epochs):
            started, seen = time.monotonic(), self.seen
            self.model.train()
            loss = float("nan")
            for step, rows in enumerate(self.task.batches(epoch)[self.step :], start=self.step):
                loss = self._step(model, rows, epoch, step, steps)
                self.step, self.seen = step + 1, self.seen + len(rows)
                if self._wants_checkpoint(epoch * steps + step, last=step == steps - 1):
                    figures = {"epoch": float(epoch), "step": float(self.step), "loss": loss}
                    self.listener.on_checkpoint(figures, self.checkpoint())
            self.epoch, self.step = epoch + 1, 0
            figures = self._validate(epoch, loss, (self.seen - seen) / (time.monotonic() - started))
            self.listener.on_validation(figures, self.checkpoint())
            if self._out_of_patience():
                log.info("no better %s for %d validations; training stops", self.task.kept.metric, settings.patience)
                break
        return Outcome.from_checkpoint(self.checkpoint())

    def checkpoint(self) -> dict[str, Any]:
        """Everything that resuming needs."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "seen": self.seen,
            "model": self.model.state_dict(),
            "average": self.average.state,
            "optimiser": self.optimiser.state_dict(),
            "best_weights": self.best_weights,
            "best": self.best,
            "history": self.history,
            "losses": self.losses,
            "kept": self.task.kept.metric,
            "description": self.task.description(),
        }

    def _restore(self, checkpoint: Mapping[str, Any]) -> None:
        self.model.load_state_dict(checkpoint["model"])
        self.average.state = {name: value.to(self.place.device) for name, value in checkpoint["average"].items()}
        self.optimiser.load_state_dict(checkpoint["optimiser"])
        self.epoch, self.step, self.seen = (checkpoint[name] for name in ("epoch", "step", "seen"))
        self.best_weights, self.best = checkpoint["best_weights"], checkpoint["best"]
        self.history, self.losses = list(checkpoint["history"]), list(checkpoint["losses"])

    def _wants_checkpoint(self, done: int, last: bool) -> bool:
        """Whether to keep the state after step ``done`` of all."""
        every = self.settings.training.checkpoint_steps
        # Only where a loss was recorded just now: the others of a record are each process's own.
        if not every or last or self._recent:
            return False
        return (done + 1) // every > max(0, done + 1 - LOSS_EVERY) // every

    def _step(self, model: nn.Module, rows: np.ndarray, epoch: int, step: int, steps: int) -> float:
        settings, place = self.settings.training, self.place
        mine = rank_slice(rows, place.rank, place.workers)
        weight = 1.0
        if len(mine) == 0:
            # More workers than examples: take part in the all-reduce without a say.
            mine, weight = rows[:1], 0.0
        torch.manual_seed(int(stream_key(self.settings.seed, epoch, f"dropout/{step}/{place.rank}") >> np.uint64(1)))
        loss = self.task.loss(model, mine, epoch, step) * weight
        # Gradients are averaged over workers, so this makes them the mean over the global batch.
        objective = loss * place.workers / len(rows)
        done = epoch * steps + step
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(settings, done, settings.epochs * steps)
        self.optimiser.zero_grad()
        objective.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip_norm)
        self.optimiser.step()
        self.average.update(self.model, done + 1)
        if done % TRIM_EVERY == 0:
            trim_heap()
        value = self._record_loss(objective.detach(), done, last=step == steps - 1)
        total = settings.epochs * steps
        figures = {"epoch": epoch, "step": done + 1, "steps": total, "loss": value, "workers": place.workers}
        self.listener.on_step(figures)
        return value

    def _record_loss(self, objective: torch.Tensor, step: int, last: bool) -> float:
        """The mean loss of the steps since the last record, over all processes; NaN between records."""
        self._recent.append(objective)
        if step % LOSS_EVERY and not last:
            return float("nan")
        mean = float(self.place.total(torch.stack(self._recent).mean())) / self.place.workers
        self._recent.clear()
        self.losses.append((step, mean))
        return mean

    def _validate(self, epoch: int, loss: float, rate: float) -> dict[str, float]:
        if self._validation_model is None:
            self._validation_model = copy.deepcopy(self.model)
        self._validation_model.load_state_dict(self.average.state)
        figures = self.task.validate(self._validation_model)
        figures |= {"epoch": float(epoch + 1), "loss": loss, "examples_per_second": rate}
        self.history.append(figures)
        if not self.best or self.task.kept.better(figures, self.best):
            self.best = figures
            self.best_weights = {name: value.detach().cpu().clone() for name, value in self.average.state.items()}
        return figures

    def _out_of_patience(self) -> bool:
        since = len(self.history) - 1 - self.history.index(self.best)
        return since >= self.settings.training.patience
