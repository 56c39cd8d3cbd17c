"""What the sections of the configuration are made of."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Probability = Annotated[float, Field(ge=0, lt=1)]
Weight = Annotated[float, Field(ge=0, lt=1e30)]


def _as_text(value: Any) -> str:
    # YAML reads 1 and true as what they look like; columns are compared as text.
    return str(value).lower() if isinstance(value, bool) else str(value)


ValueText = Annotated[str, BeforeValidator(_as_text)]
"""A value of a column, as its text."""


class Section(BaseModel):
    """A part of the configuration: immutable, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")
