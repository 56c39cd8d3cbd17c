"""The database that tables come from by JDBC."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, field_validator

from gnnscale.config.sections.section import Section

OWN_OPTIONS: Final = ("url", "driver", "dbtable", "query")
"""Options of Spark's reader that have settings of their own."""


class WarehouseSettings(Section):
    """A database whose tables are copied to the lake by Spark's JDBC reader.

    Args:
        url: such as ``jdbc:postgresql://host:5432/shop``.
        driver: class of the JDBC driver; default: the one that the JVM has for the URL.
        options: of Spark's reader, such as ``user``, ``password`` and ``fetchsize``.
    """

    url: Annotated[str, Field(pattern=r"^jdbc:[A-Za-z]")]
    driver: str | None = None
    options: dict[str, str | int] = Field(default_factory=dict)

    @field_validator("options")
    @classmethod
    def _not_ours(cls, value: dict[str, str | int]) -> dict[str, str | int]:
        for name in value:
            if name.lower() in OWN_OPTIONS:
                raise ValueError(
                    f"option '{name}' is said elsewhere: warehouse.url and warehouse.driver, and a table's name, or a "
                    "query in parentheses, in tables.<table>.source=warehouse://<name>"
                )
        return value
