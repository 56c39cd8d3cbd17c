"""What the sections of the configuration are made of."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Probability = Annotated[float, Field(ge=0, lt=1)]
Weight = Annotated[float, Field(ge=0, lt=1e30)]


def _as_text(value: Any) -> str:
    # YAML reads 1 and true as what they look like; columns are compared as text.
    return str(value).lower() if isinstance(value, bool) else str(value)


ValueText = Annotated[str, BeforeValidator(_as_text)]
"""A value of a column, as its text."""


MOST_LETTERS: Final = 100
"""Of a query's name: with what stands before and behind it, it is the name of a file."""


def check_table_name(name: str) -> str:
    """A name that the tables of a query can carry.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", name) or len(name) > MOST_LETTERS:
        shown = f"{name[:40]}..." if isinstance(name, str) and len(name) > MOST_LETTERS else name
        raise ValueError(
            f"{shown!r} is none that tables can carry: lower-case letters, digits and underscores, a letter first, "
            f"{MOST_LETTERS} at most"
        )
    return name


TableName = Annotated[str, AfterValidator(check_table_name)]
"""Of a query, or of interactions."""


class Section(BaseModel):
    """A part of the configuration: immutable, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")
