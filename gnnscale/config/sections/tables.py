"""Raw tables: where their rows are, and what is said of their columns."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from gnnscale.config.sections.derived_tables import DerivedSettings
from gnnscale.config.sections.section import Section
from gnnscale.lake import CATALOG, name_format
from gnnscale.schema import AT, EPOCH_UNITS, ColumnType, spark_pattern


class ColumnSettings(Section):
    """Type of a column, by itself (``tags: multicategorical``) or with options.

    Args:
        type: semantic type.
        separator: separates the values of a multicategorical text column; default: a comma.
    """

    type: ColumnType
    separator: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_type(cls, value: Any) -> Any:
        return value if isinstance(value, dict | ColumnSettings) else {"type": value}

    @model_validator(mode="after")
    def _check_separator(self) -> Self:
        if self.separator and self.type is not ColumnType.MULTICATEGORICAL:
            raise ValueError(f"only a multicategorical column has a separator, and this one is {self.type}")
        return self


class TableSettings(Section):
    """One raw table; see :class:`gnnscale.schema.Table`."""

    source: str = ""
    primary_key: str | None = None
    time_column: str | None = None
    columns: dict[str, ColumnSettings] = Field(default_factory=dict)
    foreign_keys: dict[str, str] = Field(default_factory=dict)
    keys_from: tuple[str, ...] = ()
    time_from: str | None = None
    end_time: str | None = None
    time_format: str | None = None
    display: tuple[str, ...] = ()
    derived: DerivedSettings | None = None

    @model_validator(mode="before")
    @classmethod
    def _told_by_derived(cls, value: Any) -> Any:
        """Of derived rows, the key or the time follows from what they are derived as."""
        derived = value.get("derived") if isinstance(value, dict) else None
        if not isinstance(derived, dict):
            return value
        told = {"pairs": {"time_column": AT}, "first_rows": {"primary_key": derived.get("key")}}
        return told.get(str(derived.get("kind")), {}) | value

    @field_validator("source")
    @classmethod
    def _of_the_catalog(cls, value: str) -> str:
        """Names of three parts are in Spark's catalog, unless they are those of files."""
        parts = re.fullmatch(r"[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*){2}", value)
        return f"{CATALOG}{value}" if parts and not name_format(value) and not Path(value).exists() else value

    @field_validator("time_format")
    @classmethod
    def _is_format(cls, value: str | None) -> str | None:
        if value is not None and value not in EPOCH_UNITS:
            spark_pattern(value)
        return value
