"""Tables whose rows follow from those of another, as a person declares them: pairs bought together, first rows."""

from __future__ import annotations

from dataclasses import dataclass

from gnnscale.schema.errors import SchemaError

ITEM, OTHER, AT = "item", "other", "at"
"""Columns of a table of pairs: both items, and since when they are known to go together."""


@dataclass(frozen=True)
class RowCondition:
    """Rows that take part: those whose value compares so. A missing value compares with nothing.

    Args:
        column: of the rows.
        operator: ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=`` or ``in``.
        value: a constant; several for ``in``.
    """

    column: str
    operator: str
    value: bool | float | str | tuple[bool | float | str, ...]

    def __post_init__(self) -> None:
        if isinstance(self.value, tuple) != (self.operator == "in"):
            raise SchemaError(
                f"condition on '{self.column}' has operator '{self.operator}' and value {self.value!r}; several values "
                "go with 'in' and one with the others"
            )


@dataclass(frozen=True)
class PairRows:
    """Items that were bought together, as events: a row for each co-occurrence, in both directions.

    Two rows of a group that name different items are one co-occurrence, stamped at the later of their times: it is
    known from then on, and no row of a table of pairs says anything of what came after it. Columns are ``item``,
    ``other`` and ``at``. A query over them asks what each item will be bought with:
    ``LIST_DISTINCT(pairs.other, 0, 28, days) FOR EACH items.item``.

    Args:
        table: whose rows name the items; it has times.
        group: its column; rows with the same value belong together, such as those of an order or of a customer.
        item: its column that names an item.
        within_days: most days between two rows that occur together; None for any.
        min_count: a pair's rows before its co-occurrence of this number are left out. An item that is there once only
            needs 1.
        max_group: rows of a group up to a row's time (and since ``within_days`` before it), above which that row makes
            no pairs: who buys a bit of everything says little of what goes together.
        conditions: that rows must meet to take part.
    """

    table: str
    group: str
    item: str
    within_days: float | None = None
    min_count: int = 1
    max_group: int = 100
    conditions: tuple[RowCondition, ...] = ()

    @property
    def read_columns(self) -> tuple[str, ...]:
        """Columns of the rows that it is made of."""
        return tuple(dict.fromkeys((self.group, self.item, *(c.column for c in self.conditions))))

    @property
    def columns(self) -> dict[str, str | None]:
        """Its columns, and the column of the rows that the values come from; None for their time."""
        return {ITEM: self.item, OTHER: self.item, AT: None}


@dataclass(frozen=True)
class FirstRows:
    """A row for each key that another table's rows mention, with what the first of them says, such as a description.

    Args:
        table: whose rows mention the keys.
        key: its column, which is the primary key of the derived table.
        values: further columns; each holds the first value in order of time that is there (of equal times, and
            without times, the least).
        conditions: that rows must meet to take part.
    """

    table: str
    key: str
    values: tuple[str, ...] = ()
    conditions: tuple[RowCondition, ...] = ()

    @property
    def read_columns(self) -> tuple[str, ...]:
        """Columns of the rows that it is made of."""
        return tuple(dict.fromkeys((self.key, *self.values, *(c.column for c in self.conditions))))

    @property
    def columns(self) -> dict[str, str | None]:
        """Its columns, and the column of the rows that the values come from."""
        return {name: name for name in (self.key, *self.values)}


DerivedRows = PairRows | FirstRows
