"""A query whose names stand for tables, columns and links of a graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gnnscale.query.window import Window
from gnnscale.schema import ColumnType, Link, ValueKind

Value = float | int | str | bool
"""A constant; times are epoch microseconds, UTC."""


NEEDS_EVENTS: Final = ("AVG", "MIN", "MAX", "FIRST", "LAST", "LIST_DISTINCT")
"""Aggregates that over nothing are missing, and as a target drop the example."""


@dataclass(frozen=True)
class Column:
    """A column of a row, or of the parent that the row names.

    Args:
        table, name: of the column.
        via: foreign key from the row to ``table``; None for the row's own columns.
        kind: what its values are; None where the graph does not say.
        meaning: what it is to a model; None where the graph does not say.
    """

    table: str
    name: str
    via: Link | None
    kind: ValueKind | None
    meaning: ColumnType | None

    def __str__(self) -> str:
        return f"{self.table}.{self.name}"


@dataclass(frozen=True)
class Aggregate:
    """``function`` over the events of an entity.

    Args:
        function: upper case.
        link: foreign key from the event table to the entity.
        column: what is aggregated; None for ``*``.
        where: which events count; None for all.
        window: None for events without times.
        reference: the event table's own foreign key that ``column`` is, where it is one.
        chosen: whether ``link`` is one of several to the entity.
    """

    function: str
    link: Link
    column: Column | None
    where: Condition | None
    window: Window | None
    reference: Link | None = None
    chosen: bool = False

    @property
    def event_table(self) -> str:
        """The event table."""
        return self.link.table

    @property
    def kind(self) -> ValueKind | None:
        """What its values are."""
        if self.function in ("FIRST", "LAST") and self.column:
            return self.column.kind
        return ValueKind.NUMBER

    def __str__(self) -> str:
        where = " WHERE ..." if self.where else ""
        window = f" over {self.window}" if self.window else ""
        by = f" BY {self.link.column}" if self.chosen else ""
        return f"{self.function}({self.column or f'{self.event_table}.*'}{by}{where}){window}"


@dataclass(frozen=True)
class Test:
    """``left operator values``; false where ``left`` is missing, negated or not, but for ``IS NULL``."""

    left: Column | Aggregate
    operator: str
    values: tuple[Value, ...]
    negated: bool


@dataclass(frozen=True)
class All:
    """Every part holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Any:
    """At least one part holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Not:
    """The part does not hold."""

    part: Condition


Condition = Test | All | Any | Not
Operand = Column | Aggregate


def operands(expression: Condition | Operand | None, values: bool = False) -> Iterator[Operand]:
    """The columns and aggregates that an expression compares, in order; those inside aggregates left out.

    Args:
        expression: bound.
        values: only those whose values are compared: what is asked whether it is missing is left out.
    """
    if isinstance(expression, Test):
        if not (values and expression.operator == "IS NULL"):
            yield expression.left
    elif isinstance(expression, All | Any):
        for part in expression.parts:
            yield from operands(part, values)
    elif isinstance(expression, Not):
        yield from operands(expression.part, values)
    elif expression is not None:
        yield expression


def aggregates(*expressions: Condition | Operand | None) -> list[Aggregate]:
    """The distinct aggregates of some expressions, in order."""
    found = [o for expression in expressions for o in operands(expression) if isinstance(o, Aggregate)]
    return list(dict.fromkeys(found))
