"""What a metric is: its definition beside its formula, plain and over weighted examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gnnscale.arrays import Flags, Ids

Floats = npt.NDArray[np.float64]

Draws = Callable[[Floats], Mapping[str, Floats]]
"""From weights ``[draws, N]`` to metric -> its value in each draw, float64 ``[draws]``, NaN where undefined."""

THRESHOLD: Final = 0.5
"""A probability from here on counts as a prediction of true."""

SMALLEST: Final = 1e-7
"""Probabilities are kept this far from 0 and 1, so that one bold mistake does not make the log loss infinite."""


@dataclass(frozen=True)
class Metric:
    """The definition of a metric.

    Args:
        name: in records, such as ``map@10``.
        title: on pages.
        meaning: its definition in a sentence or two.
        higher_is_better: False for errors and losses.
    """

    name: str
    title: str
    meaning: str
    higher_is_better: bool = True


@dataclass(frozen=True)
class ScoreMetric:
    """A metric of scores ``[N, V]`` against values ``[N, W]``; layouts in :mod:`gnnscale.metrics.task_evaluation`.

    Metrics of one family may share formulas that compute them all at once: these are called once for the family.

    Args:
        definition: of the metric; with ``columns``, ``{column}`` in its texts is the number of a column, from 1.
        evaluate: from scores and values to values by name, NaN or absent where undefined.
        prepare: the same for examples that count several times; None repeats the examples.
        columns: whether each column of the scores has such a metric.
        tasks: task types (by name) and answers whose evaluation it joins by itself; others name it in their
            ``metrics``.
    """

    definition: Metric
    evaluate: Callable[[Floats, Floats], Mapping[str, float]]
    prepare: Callable[[Floats, Floats], Draws] | None = None
    columns: bool = False
    tasks: tuple[str, ...] = ()

    def definitions(self, width: int) -> tuple[Metric, ...]:
        """The metrics of scores with ``width`` columns."""
        if not self.columns:
            return (self.definition,)
        return tuple(_filled(self.definition, column=column) for column in range(1, width + 1))

    def draws(self, scores: Floats, values: Floats) -> Draws:
        """The formula over weighted examples."""
        return self.prepare(scores, values) if self.prepare is not None else self._repeated(scores, values)

    def _repeated(self, scores: Floats, values: Floats) -> Draws:
        names = [metric.name for metric in self.definitions(scores.shape[1])]

        def draws(weights: Floats) -> dict[str, Floats]:
            drawn = {name: np.full(len(weights), math.nan) for name in names}
            for draw, counts in enumerate(weights):
                rows = np.repeat(np.arange(len(scores)), counts.astype(np.int64))
                found = self.evaluate(scores[rows], values[rows]) if len(rows) else {}
                for name in names:
                    drawn[name][draw] = found.get(name, math.nan)
            return drawn

        return draws


@dataclass(frozen=True)
class ListMetric:
    """A metric of ranked lists at a length k, named ``<name>@<k>``.

    Args:
        definition: of the metric; in its texts ``{k}`` is the length, ``{row}`` what has a list and ``{item}`` what is
            listed.
        each: from hits bool ``[n, k]``, the number of right items int64 ``[n]`` (1 or more) and k to the value of each
            row, float64 ``[n]``; None for a metric that has none.
        overall: from listed items int64 ``[N, k]``, -1 for none, and the size of the catalogue to the metric.
        tasks: task types (by name) and answers whose evaluation it joins by itself, at length 10.
    """

    definition: Metric
    each: Callable[[Flags, Ids, int], Floats] | None = None
    overall: Callable[[Ids, int], float] | None = None
    tasks: tuple[str, ...] = ()

    def at(self, k: int, row: str = "entity", item: str = "item") -> Metric:
        """The definition at a length."""
        return _filled(self.definition, k=k, row=row, rows=_plural(row), item=item, items=_plural(item))


def _plural(noun: str) -> str:
    if noun.endswith("y"):
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith("s") else "s")


def _filled(metric: Metric, **words: object) -> Metric:
    name, title, meaning = (text.format(**words) for text in (metric.name, metric.title, metric.meaning))
    return Metric(name, title, meaning, metric.higher_is_better)


def ranked_classes(scores: Floats) -> Ids:
    """Classes, best first, int64 ``[N, C]``; of classes with equal scores the smaller index comes first."""
    return np.argsort(-scores, axis=1, kind="stable")
