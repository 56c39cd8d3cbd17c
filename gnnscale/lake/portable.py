"""Places inside a lake as its records name them: by their path under its root, wherever that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gnnscale.lake.lake import Lake

INSIDE: Final = "lake://"
"""What a place inside the lake begins with in its records."""


def to_portable(lake: Lake, data: Any) -> Any:
    """Plain data in which no text names the lake's own place.

    Args:
        lake: whose place goes.
        data: mappings, sequences and values, as in JSON.
    """
    return _changed(data, f"{lake.uri}/", INSIDE)


def from_portable(lake: Lake, data: Any) -> Any:
    """Inverse of :func:`to_portable`, for the lake where it is now."""
    return _changed(data, INSIDE, f"{lake.uri}/")


def _changed(data: Any, before: str, after: str) -> Any:
    if isinstance(data, str):
        return after + data[len(before) :] if data.startswith(before) else data
    if isinstance(data, Mapping):
        return {key: _changed(value, before, after) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_changed(value, before, after) for value in data]
    return data
