"""How what came true becomes the labels of a task type."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from gnnscale.query import PredictiveQuery, Window, bound
from gnnscale.schema import LABELS

Key = tuple[bound.Aggregate, Window | None]
"""An aggregate, and the window that it is taken over."""


@dataclass(frozen=True)
class LabelInputs:
    """What labels are made of.

    Args:
        query: bound query.
        values: every aggregate over every window that a label needs.
        own: columns of the entities.
        past: whether the target over the window that ends at the anchor is wanted.
    """

    query: PredictiveQuery
    values: Mapping[Key, Column]
    own: Mapping[bound.Operand, Column]
    past: bool

    def now(self) -> list[Column]:
        """The target over each of its windows, first first; one for a column of the entity."""
        target = self.query.expression
        if isinstance(target, bound.Column):
            return [self.own[target]]
        assert isinstance(target, bound.Aggregate)
        windows = (None,) if target.window is None else self.query.frame_windows(target.window)
        return [self.values[target, window] for window in windows]

    def then(self) -> Column | None:
        """The target over the window that ends at the anchor; None where there is none."""
        target = self.query.expression
        if not self.past or not isinstance(target, bound.Aggregate) or target.window is None:
            return None
        return self.values[target, before(target.window)]


class LabelRule(ABC):
    """Makes the labels of a task type, and says what they are like.

    Attributes:
        has_past: whether examples tell the target over the window that ends at the anchor.
    """

    has_past: ClassVar[bool] = True

    @abstractmethod
    def targets(self, inputs: LabelInputs) -> list[Column]:
        """Columns ``target`` and ``past`` of an example (of links: ``targets``); the first null where there is none."""

    @abstractmethod
    def figures(self) -> list[Column]:
        """Aggregates of a split's examples for the record of the labels, each under its name."""

    def beyond(self) -> Column | None:
        """Which examples have a target that is too large to learn; None where none could."""
        return None

    def classes(self, labels: DataFrame) -> DataFrame | None:
        """Columns ``split`` and ``value``: one row for each class of each example; None without classes."""
        return None


class CastLabels(LabelRule):
    """The target as it is, of one type.

    Attributes:
        kind: of Spark.
    """

    kind: ClassVar[str]

    def targets(self, inputs: LabelInputs) -> list[Column]:
        """The target over its window, and over the one before."""
        then = inputs.then()
        past = F.lit(None) if then is None else then
        return [inputs.now()[0].cast(self.kind).alias("target"), past.cast(self.kind).alias("past")]


def find_rule(query: PredictiveQuery) -> LabelRule:
    """The label rule of a query's task type.

    Raises:
        ConfigError: there is none of the name that the task type states.
    """
    rule: LabelRule = LABELS.find(query.task_type.label)
    return rule


def before(window: Window) -> Window:
    """The window as it was when it ended at the anchor."""
    return window.moved(-window.end)
