"""Charts of one method's answers, as a task type lists them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from gnnscale.arrays import Ids
from gnnscale.metrics import Floats, checked_scores
from gnnscale.query import TaskSpec
from gnnscale.schema import CHARTS

BINS: Final = 10
"""Groups of examples with like scores."""


@dataclass(frozen=True)
class AnswerChart:
    """A chart under its title, with a note on how to read it."""

    title: str
    note: str
    chart: Markup


Draw = Callable[[TaskSpec, Floats, Floats, Sequence[str]], AnswerChart]
"""From a task type, scores ``[N, V]``, values ``[N, W]`` and names of classes to a chart."""


def answer_charts(
    task: TaskSpec, scores: npt.ArrayLike, values: npt.ArrayLike, classes: Sequence[str] = ()
) -> list[AnswerChart]:
    """The charts of a task type.

    Args:
        task: a node-level task.
        scores: ``[N, V]``.
        values: ``[N, W]``.
        classes: names of the classes, of tasks that have any.

    Raises:
        ConfigError: a chart that the task names is not known.
        DataError: shapes don't fit the task.
    """
    predicted, true = checked_scores(task, scores, values)
    return [CHARTS.find(name)(task, predicted, true, classes) for name in task.charts]


def like_scored(score: Floats, bins: int = BINS) -> list[Ids]:
    """Rows in ``bins`` groups of nearly equal size, from the lowest scores to the highest; none is empty."""
    order = np.argsort(score, kind="stable")
    return [rows for rows in np.array_split(order, bins) if rows.size]


def group_means(score: Floats, true: Floats) -> list[tuple[float, float]]:
    """Mean score and mean value of each group of like scores."""
    return [(float(score[rows].mean()), float(true[rows].mean())) for rows in like_scored(score)]
