"""Key ``derived`` of a table: rows that follow from another table's; see :mod:`gnnscale.schema.derived_table`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gnnscale.config.sections.section import Positive, Section
from gnnscale.schema import DerivedRows, FirstRows, PairRows, RowCondition


class RowConditionSettings(Section):
    """A condition on rows; see :class:`gnnscale.schema.RowCondition`."""

    column: str
    operator: Literal["=", "!=", "<", "<=", ">", ">=", "in"] = "="
    value: bool | float | str | tuple[bool | float | str, ...]


class PairRowsSettings(Section):
    """Items that were bought together; see :class:`gnnscale.schema.PairRows`."""

    kind: Literal["pairs"]
    table: str
    group: str
    item: str
    within_days: Annotated[float, Field(gt=0, le=36_500)] | None = None
    min_count: Positive = 1
    max_group: Annotated[int, Field(ge=2, le=10_000)] = 100
    conditions: tuple[RowConditionSettings, ...] = ()

    def rows(self) -> DerivedRows:
        """What it declares."""
        given = self.model_dump(exclude={"kind", "conditions"})
        return PairRows(**given, conditions=tuple(RowCondition(**c.model_dump()) for c in self.conditions))


class FirstRowsSettings(Section):
    """First rows of keys; see :class:`gnnscale.schema.FirstRows`."""

    kind: Literal["first_rows"]
    table: str
    key: str
    values: tuple[str, ...] = ()
    conditions: tuple[RowConditionSettings, ...] = ()

    def rows(self) -> DerivedRows:
        """What it declares."""
        given = self.model_dump(exclude={"kind", "conditions"})
        return FirstRows(**given, conditions=tuple(RowCondition(**c.model_dump()) for c in self.conditions))


DerivedSettings = Annotated[PairRowsSettings | FirstRowsSettings, Field(discriminator="kind")]
