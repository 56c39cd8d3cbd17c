"""The values of node-level tasks in words: rates of the labels, and what was said of a few entities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gnnscale.evaluation.report.page import MISSING, figure, share
from gnnscale.metrics import THRESHOLD, Floats, ranked_classes
from gnnscale.query import TaskSpec

LISTED: Final = 5
"""Classes that are named of one example."""

UNSEEN: Final = "a class that training never saw"


@dataclass(frozen=True)
class TaskExample:
    """One entity: what is known of it, what was predicted and what came true.

    Args:
        key: of the entity.
        attributes: what is known of it, name to value.
        past: what came true last time.
        predicted: by the model.
        truth: what came true.
        right: whether the prediction was; None where that is a matter of degree.
    """

    key: str
    attributes: Mapping[str, object]
    past: str
    predicted: str
    truth: str
    right: bool | None = None


def label_rate(task: TaskSpec, values: npt.ArrayLike, classes: Sequence[str] = ()) -> str:
    """What the values of some examples are like, in a few words.

    Args:
        task: a node-level task.
        values: ``[N, W]``.
        classes: names of the classes, of tasks that have any.
    """
    true = np.asarray(values, dtype=np.float64)
    if not true.size:
        return "no examples"
    if task.answer == "truth":
        return f"{share(float(true.mean()))} true"
    if task.answer == "class":
        labels = true[:, 0].astype(np.int64)
        counts = np.bincount(labels[labels >= 0], minlength=1)
        unseen = float((labels < 0).mean())
        rest = f", {share(unseen)} {UNSEEN}" if unseen else ""
        return f"{(counts > 0).sum():,} classes; {_most(counts / len(true), classes)}{rest}"
    if task.answer == "classes":
        return f"{figure(float(true.sum(axis=1).mean()))} classes each; {_most(true.mean(axis=0), classes)}"
    middle = f"mean {figure(float(true.mean()))}, median {figure(float(np.median(true)))}"
    return f"{middle}, {share(float((true == 0).mean()))} zero"


def task_example(
    task: TaskSpec,
    key: str,
    scores: npt.ArrayLike,
    values: npt.ArrayLike,
    past: npt.ArrayLike,
    classes: Sequence[str] = (),
    attributes: Mapping[str, object] | None = None,
) -> TaskExample:
    """Put one example into words.

    Args:
        task: a node-level task.
        key: of the entity.
        scores: of the model, ``[V]``.
        values: what came true, ``[W]``.
        past: what came true last time, ``[W]``, NaN where unknown.
        classes: names of the classes, of tasks that have any.
        attributes: what is known of the entity.
    """
    predicted, true, last = (np.asarray(part, dtype=np.float64) for part in (scores, values, past))
    right = None
    if task.answer == "truth":
        right = bool((predicted[0] >= THRESHOLD) == (true[0] > 0))
    if task.answer == "class":
        right = bool(predicted.argmax() == true[0])
    return TaskExample(
        key,
        attributes or {},
        past=MISSING if np.isnan(last).any() else _value(task, last, classes),
        predicted=_prediction(task, predicted, classes),
        truth=_value(task, true, classes),
        right=right,
    )


def _most(shares: Floats, classes: Sequence[str]) -> str:
    best = int(shares.argmax())
    return f"most often {_name(classes, best)}, {share(float(shares[best]))}"


def _value(task: TaskSpec, value: Floats, classes: Sequence[str]) -> str:
    if task.answer == "truth":
        return "true" if value[0] > 0 else "false"
    if task.answer == "class":
        return _name(classes, int(value[0])) if value[0] >= 0 else UNSEEN
    if task.answer == "classes":
        names = [_name(classes, int(c)) for c in np.flatnonzero(value)]
        more = f" and {len(names) - 2 * LISTED} more" if len(names) > 2 * LISTED else ""
        return ", ".join(names[: 2 * LISTED]) + more if names else "none"
    return " · ".join(figure(float(number)) for number in value)


def _prediction(task: TaskSpec, score: Floats, classes: Sequence[str]) -> str:
    if task.answer == "truth":
        return share(float(score[0]))
    if task.predicts_values:
        return _value(task, score, classes)
    listed = LISTED if task.answer == "classes" else 3
    best = ranked_classes(score[None])[0][:listed]
    return ", ".join(f"{_name(classes, int(c))} {share(float(score[c]))}" for c in best)


def _name(classes: Sequence[str], index: int) -> str:
    return classes[index] if index < len(classes) else f"class {index + 1}"
