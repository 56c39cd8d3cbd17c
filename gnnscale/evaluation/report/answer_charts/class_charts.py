"""How well each class is predicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from gnnscale.arrays import Flags
from gnnscale.evaluation.report.answer_charts.chart import AnswerChart
from gnnscale.evaluation.report.charts import Bar, bar_chart
from gnnscale.metrics import THRESHOLD, Floats
from gnnscale.query import TaskSpec
from gnnscale.schema import CHARTS

CLASSES: Final = 15
"""Classes that are shown, the most frequent in the test examples first."""


@CHARTS.register("class_recall")
def class_recall(task: TaskSpec, scores: Floats, values: Floats, classes: Sequence[str]) -> AnswerChart:
    """Share of a class's examples that were given it."""
    true, called = _flags(task, scores, values)
    counts, hits = true.sum(axis=0), (true & called).sum(axis=0)
    shares = {c: float(hits[c] / counts[c]) for c in _shown(true)}
    return _bars("Recall", shares, true, classes)


@CHARTS.register("class_f1")
def class_f1(task: TaskSpec, scores: Floats, values: Floats, classes: Sequence[str]) -> AnswerChart:
    """Harmonic mean of precision and recall of a class."""
    true, called = _flags(task, scores, values)
    counts, hits = true.sum(axis=0), (true & called).sum(axis=0)
    shares = {c: float(2 * hits[c] / (counts[c] + called[:, c].sum())) for c in _shown(true)}
    return _bars("F1", shares, true, classes)


def _flags(task: TaskSpec, scores: Floats, values: Floats) -> tuple[Flags, Flags]:
    """Which classes came true and which were predicted of each example, bool ``[N, C]`` each."""
    if task.answer == "class":
        columns = np.arange(scores.shape[1])
        return values.astype(np.int64) == columns, scores.argmax(axis=1)[:, None] == columns
    return values > 0, scores >= THRESHOLD


def _shown(true: Flags) -> list[int]:
    counts = true.sum(axis=0)
    return [int(c) for c in np.argsort(-counts, kind="stable")[:CLASSES] if counts[c]]


def _bars(name: str, shares: dict[int, float], true: Flags, classes: Sequence[str]) -> AnswerChart:
    counts = true.sum(axis=0)
    note = f"The {len(shares)} most frequent of {len(counts)} classes, and how often each came true."
    bars = [Bar(f"{_name(classes, c)} · {counts[c]:,}", share, main=True) for c, share in shares.items()]
    return AnswerChart(f"{name} of each class", note, bar_chart(name, bars, 1.0))


def _name(classes: Sequence[str], index: int) -> str:
    """Name of a class, short enough to stand above a bar."""
    name = classes[index] if index < len(classes) else f"class {index + 1}"
    return name if len(name) <= 34 else name[:33] + "\N{HORIZONTAL ELLIPSIS}"
