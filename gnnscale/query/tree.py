"""The syntax tree of a predictive query; every node keeps its place in the text."""

from __future__ import annotations

from dataclasses import dataclass

UNIT_SECONDS = {
    "seconds": 1,
    "minutes": 60,
    "hours": 3_600,
    "days": 86_400,
    "weeks": 604_800,
}


@dataclass(frozen=True)
class ColumnName:
    """``table.column``; positions are offsets in the query text, in characters."""

    table: str
    column: str
    position: int
    column_position: int

    def __str__(self) -> str:
        return f"{self.table}.{self.column}"


@dataclass(frozen=True)
class Window:
    """Half-open time window ``(anchor + start, anchor + end]``, in seconds."""

    start: int
    end: int
    position: int

    @property
    def length(self) -> int:
        """Seconds that the window covers."""
        return self.end - self.start


@dataclass(frozen=True)
class Aggregation:
    """``function(column, window)``: one value an entity and anchor time."""

    function: str
    column: ColumnName
    window: Window
    position: int


@dataclass(frozen=True)
class QueryTree:
    """A whole query: what to predict, for whom, and how many answers to rank."""

    target: Aggregation
    top: int
    entity: ColumnName
