"""What kind of question a query asks, as plain data that every stage reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from gnnscale.query.bound import Aggregate, Column, Condition
from gnnscale.schema import TASKS, ColumnType, ValueKind

Answer = Literal["truth", "value", "values", "class", "classes", "links"]
"""What an entity is given: whether a condition holds, a value, a value for each frame, one class, several, or rows of
another table."""

Head = Literal["sigmoid", "identity", "softmax"]
"""How outputs of a network become predictions."""

COLUMNS: dict[Answer, tuple[str, ...]] = {
    "truth": ("score",),
    "value": ("value",),
    "values": ("frame", "value"),
    "class": ("target", "rank", "score"),
    "classes": ("target", "rank", "score"),
    "links": ("target", "rank", "score"),
}
"""Columns of the predictions, beside the entity and the anchor's time."""


@dataclass(frozen=True)
class Question:
    """What a query's form says, before its task type is known.

    Args:
        target: what is predicted.
        frames: consecutive windows to forecast; None where the query does not say.
        form: ``RANK``, ``CLASSIFY`` or None.
        top: answers an entity gets; None where the query does not say.
    """

    target: Condition | Aggregate | Column
    frames: int | None = None
    form: str | None = None
    top: int | None = None

    @property
    def function(self) -> str | None:
        """Aggregation of the target; None for a condition or a column."""
        return self.target.function if isinstance(self.target, Aggregate) else None

    @property
    def column(self) -> Column | None:
        """The column whose own values are the target's: no counts, no sums."""
        if isinstance(self.target, Column):
            return self.target
        if isinstance(self.target, Aggregate) and self.function in ("FIRST", "LAST", "LIST_DISTINCT"):
            return self.target.column
        return None

    @property
    def names_rows(self) -> bool:
        """Whether the target's values are rows of another table."""
        return isinstance(self.target, Aggregate) and self.column is not None and self.target.reference is not None

    @property
    def is_number(self) -> bool:
        """Whether the target is one number for each window."""
        if self.names_rows or self.function == "LIST_DISTINCT":
            return False
        if self.column is not None:
            return self.column.meaning is ColumnType.NUMERICAL
        return isinstance(self.target, Aggregate)

    @property
    def is_category(self) -> bool:
        """Whether the target is one of some classes."""
        if self.names_rows or self.function == "LIST_DISTINCT" or self.column is None or self.is_number:
            return False
        if self.column.meaning in (ColumnType.MULTICATEGORICAL, ColumnType.TEXT):
            return False
        return self.column.meaning is ColumnType.CATEGORICAL or self.column.kind is ValueKind.TEXT

    @property
    def is_category_list(self) -> bool:
        """Whether the target is a list of classes."""
        if self.names_rows or self.column is None:
            return False
        if self.column.meaning is ColumnType.MULTICATEGORICAL:
            return True
        no_classes = (ColumnType.NUMERICAL, ColumnType.TIMESTAMP, ColumnType.TEXT, ColumnType.EMBEDDING)
        return self.function == "LIST_DISTINCT" and self.column.meaning not in no_classes


@dataclass(frozen=True, eq=False)
class TaskSpec:
    """A task type: what is learned, how, and how good it is. Types are equal where their names are.

    Args:
        name: in words, as in records and messages.
        answer: what an entity is given.
        fits: whether a question is of this type. Types are asked in the order of :attr:`precedence`, then of names.
        label: label rule, by its name in ``LABELS``.
        losses: by name; the default is the first that fits the network.
        head: how outputs become predictions.
        metrics: of the evaluation, by name, the headline first.
        validation: metrics that training measures, by name; the first selects the model.
        baselines: by name, in the order of the comparison.
        charts: of the report, by name.
        reference: method that the others are held against: ``model``, a baseline, or, of links, None: the best
            baseline by the headline.
        precedence: the greater, the earlier it is asked; types of gnnscale have 0.
    """

    name: str
    answer: Answer
    fits: Callable[[Question], bool]
    label: str
    losses: tuple[str, ...]
    head: Head
    metrics: tuple[str, ...]
    validation: tuple[str, ...]
    baselines: tuple[str, ...] = ()
    charts: tuple[str, ...] = ()
    reference: str | None = "model"
    precedence: int = 0

    def __str__(self) -> str:
        return self.name

    def __eq__(self, other: object) -> bool:
        return self.name == other.name if isinstance(other, TaskSpec) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def predicts_links(self) -> bool:
        """Whether rows of another table are ranked; the others give each entity values or classes."""
        return self.answer == "links"

    @property
    def predicts_values(self) -> bool:
        """Whether answers are numbers in the unit of the target."""
        return self.answer in ("value", "values")

    @property
    def predicts_classes(self) -> bool:
        """Whether answers are of a list of classes."""
        return self.answer in ("class", "classes")

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the predictions, beside ``entity`` and ``anchor_time``."""
        return COLUMNS[self.answer]


def find_task(name: str) -> TaskSpec:
    """The task type of that name.

    Raises:
        ConfigError: there is none.
    """
    found: TaskSpec = TASKS.find(name)
    return found


def task_types() -> tuple[TaskSpec, ...]:
    """All task types in the order in which a question is put to them."""
    return tuple(sorted(map(find_task, TASKS.names()), key=lambda task: (-task.precedence, task.name)))


def task_of(question: Question) -> TaskSpec | None:
    """The first task type that a question fits; None where there is none."""
    return next((task for task in task_types() if task.fits(question)), None)
