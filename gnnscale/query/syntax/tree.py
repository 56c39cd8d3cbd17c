"""The syntax tree of a predictive query; every node keeps its position in the text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from gnnscale.query.window import Window


@dataclass(frozen=True)
class ColumnName:
    """``table.column``; positions are offsets in the query text, in characters. ``*`` is a column of an aggregate."""

    table: str
    column: str
    position: int
    column_position: int

    def __str__(self) -> str:
        return f"{self.table}.{self.column}"


@dataclass(frozen=True)
class Literal:
    """A constant: a number, text, truth value, or a date, which is text until it meets a column of times."""

    value: float | int | str | bool | None
    position: int

    def __str__(self) -> str:
        if isinstance(self.value, str):
            return "'" + self.value.replace("'", "''") + "'"
        return (
            "NULL"
            if self.value is None
            else str(self.value).upper()
            if self.value in (True, False)
            else str(self.value)
        )


@dataclass(frozen=True)
class ByColumn:
    """The foreign key of the event table that an aggregation goes by."""

    name: str
    position: int


@dataclass(frozen=True)
class Aggregation:
    """``function(column WHERE where, window)``: one value an entity and anchor time.

    Args:
        function: upper case, one of :data:`gnnscale.query.syntax.parser.FUNCTIONS`.
        argument: what is aggregated; an aggregation only until it is refused.
        where: which events count; None for all.
        window: None where the query gives none.
        position: of the function's name.
        by: which of several foreign keys to the entity counts; None where the query does not say.
    """

    function: str
    argument: ColumnName | Aggregation
    where: Condition | None
    window: Window | None
    position: int
    by: ByColumn | None = None


@dataclass(frozen=True)
class Comparison:
    """``left operator values``.

    Args:
        left: a column or an aggregation.
        operator: ``= != < <= > >= IN LIKE CONTAINS``, ``STARTS WITH``, ``ENDS WITH`` or ``IS NULL``.
        values: one constant; several for IN, none for IS NULL.
        negated: whether NOT stands before the operator.
        position: of the operator.
    """

    left: ColumnName | Aggregation
    operator: str
    values: tuple[Literal, ...]
    negated: bool
    position: int
    depth: int = field(default=1, compare=False)


@dataclass(frozen=True)
class Junction:
    """Conditions joined by ``AND`` or ``OR``."""

    operator: str
    parts: tuple[Expression, ...]
    position: int
    depth: int = field(default=1, compare=False)


@dataclass(frozen=True)
class Negation:
    """``NOT part``."""

    part: Expression
    position: int
    depth: int = field(default=1, compare=False)


Expression = ColumnName | Aggregation | Comparison | Junction | Negation
Condition = Expression
"""An expression where a condition stands; that it is one is checked when it is bound."""


@dataclass(frozen=True)
class Entities:
    """For whom: every row of a table, or those with the given keys."""

    column: ColumnName
    keys: tuple[Literal, ...] | None = None


@dataclass(frozen=True)
class QueryTree:
    """A whole query.

    Args:
        target: what to predict.
        frames: consecutive windows to forecast; None without FORECAST.
        form: ``CLASSIFY``, ``RANK`` or None.
        top: answers an entity gets; None without TOP.
        entities: for whom.
        where: which of them, at each anchor.
        assuming: what is taken as true of the future.
        positions: of the clauses that are there, by keyword.
    """

    target: Expression
    frames: int | None
    form: str | None
    top: int | None
    entities: Entities
    where: Condition | None
    assuming: Condition | None
    positions: dict[str, int] = field(default_factory=dict, compare=False)


def aggregations(expression: Expression | None) -> Iterator[Aggregation]:
    """Every aggregation of an expression, in order, those inside other aggregations left out."""
    if isinstance(expression, Aggregation):
        yield expression
    elif isinstance(expression, Comparison):
        yield from aggregations(expression.left)
    elif isinstance(expression, Junction):
        for part in expression.parts:
            yield from aggregations(part)
    elif isinstance(expression, Negation):
        yield from aggregations(expression.part)
