"""What the training loop needs to know of the question that is learned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnscale.training.throughput import THROUGHPUT

FIGURES_BESIDE = ("epoch", "loss", *THROUGHPUT)
"""Figures of a validation that are no metrics."""

ACRONYMS = ("auprc", "auroc", "mae", "map", "mrr", "ndcg", "rmse")


@dataclass(frozen=True)
class ModelSelection:
    """The validation metric that decides which weights are kept, and whether larger values are better."""

    metric: str
    maximize: bool = True

    def better(self, one: Mapping[str, float], other: Mapping[str, float]) -> bool:
        """Whether the first figures beat the second; what is undefined beats nothing, and any number beats it."""
        mine, theirs = one[self.metric], other[self.metric]
        if math.isnan(mine) or math.isnan(theirs):
            return not math.isnan(mine)
        return mine > theirs if self.maximize else mine < theirs


class TrainingTask(Protocol):
    """One query's examples, network and objective, for one process.

    Attributes:
        model: fresh weights, on the process's device.
        kept: which validation is the best.
    """

    model: nn.Module
    kept: ModelSelection

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Row numbers of the epoch's global batches; the same on every process, and as many in every epoch."""

    def prepare(self, rows: NDArray[np.int64], epoch: int, step: int) -> Any:
        """What :meth:`loss` takes of this process's rows of a batch; a thread of its own may call it.

        Every random choice is a function of (seed, epoch, step).
        """

    def edges(self, prepared: Any) -> int:
        """Edges that were sampled for what :meth:`prepare` gave."""

    def loss(self, model: nn.Module, prepared: Any) -> Tensor:
        """Sum of the training loss over the rows; drop-out follows torch's generator, which the loop seeds."""

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Metrics of the validation examples, the same on every process."""

    def description(self) -> dict[str, Any]:
        """What the model file holds beside the weights: plain data."""


def metrics_in_words(figures: Mapping[str, float]) -> str:
    """The metrics of a validation, in a few words."""
    return ", ".join(f"{_title(name)} {value:.4g}" for name, value in figures.items() if name not in FIGURES_BESIDE)


def _title(name: str) -> str:
    """``map@10`` as ``MAP@10``: the usual spelling of a metric."""
    metric, at, length = name.partition("@")
    return (metric.upper() if metric in ACRONYMS else metric.replace("_", " ")) + at + length
