"""What training leaves behind."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from gnnscale.training.throughput import THROUGHPUT

FIGURES_BESIDE = ("epoch", "loss", *THROUGHPUT)
"""Figures of a validation that are no metrics."""

ACRONYMS = ("auprc", "auroc", "mae", "map", "mrr", "ndcg", "rmse")


@dataclass(frozen=True)
class TrainResult:
    """What training leaves.

    Args:
        weights: averaged weights of the best validation.
        best: its figures.
        history: figures of every validation, in order.
        losses: (step, mean training loss since the entry before), one entry every some steps.
        kept: name of the metric that decided which validation is the best.
        description: what is needed to build the network again, beside the configuration and the graph.
        seen: examples that training took, each as often as it came.
    """

    weights: dict[str, Tensor]
    best: dict[str, float]
    history: list[dict[str, float]]
    losses: list[tuple[int, float]]
    kept: str
    description: dict[str, Any] = field(default_factory=dict)
    seen: int = 0

    @classmethod
    def from_checkpoint(cls, checkpoint: Mapping[str, Any]) -> TrainResult:
        """What a run that ended with this checkpoint left."""
        names = ("best", "history", "losses", "kept", "description", "seen")
        return cls(checkpoint["best_weights"], *(checkpoint[name] for name in names))


def metrics_in_words(figures: Mapping[str, float]) -> str:
    """The metrics of a validation, in a few words."""
    return ", ".join(
        f"{metric_title(name)} {'undefined' if math.isnan(value) else f'{value:.4g}'}"
        for name, value in figures.items()
        if name not in FIGURES_BESIDE
    )


def metric_title(name: str) -> str:
    """``map@10`` as ``MAP@10``: the usual spelling of a metric."""
    metric, at, length = name.partition("@")
    return (metric.upper() if metric in ACRONYMS else metric.replace("_", " ")) + at + length
