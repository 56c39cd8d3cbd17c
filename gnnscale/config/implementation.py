"""Implementations that the configuration names: ``attention``, or ``{name: attention, heads: 2}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from gnnscale.config.sections.section import Section
from gnnscale.schema import ConfigError, Registry, nearest

Implementation = str | dict[str, Any]
"""A name of a registry, alone or with options."""

AUTO = "auto"


class NoOptions(Section):
    """Of an implementation that has none."""


def split_implementation(value: Implementation) -> tuple[str, dict[str, Any]]:
    """Name and options.

    Raises:
        ConfigError: options without a name.
    """
    if isinstance(value, str):
        return value, {}
    options = dict(value)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise ConfigError(f"{value} has no name; write one, or a mapping with name and options")
    return name, options


def options_section(implementation: Any) -> type[Section]:
    """What can be set of an implementation: its ``Options``; without them, nothing."""
    found: type[Section] = getattr(implementation, "Options", NoOptions)
    return found


def read_options(kind: str, name: str, implementation: Any, options: Mapping[str, Any]) -> Section:
    """The options of an implementation, checked and frozen.

    Args:
        kind: in the singular, for messages.
        name: of the implementation.
        implementation: states its options as a section, ``Options``; without one it has none.
        options: as given.

    Raises:
        ConfigError: an unknown option, one that is missing, or a value out of range.
    """
    section = options_section(implementation)
    try:
        return section(**options)
    except ValidationError as error:
        fault = error.errors()[0]
        option, known = ".".join(map(str, fault["loc"])), list(section.model_fields)
        if fault["type"] == "extra_forbidden":
            allowed = f" Allowed: {', '.join(known)}" if known else " It has none"
            raise ConfigError(f"{kind} '{name}' has no option '{option}'.{nearest(option, known)}{allowed}") from None
        if fault["type"] == "missing":
            raise ConfigError(f"{kind} '{name}' needs a {option}") from None
        if not option:
            raise ConfigError(f"options of {kind} '{name}': {fault['msg'].lower()}") from None
        told = f"option '{option}' of {kind} '{name}' is {fault['input']!r}"
        raise ConfigError(f"{told}: {fault['msg'].lower()}") from None


def check_implementation(registry: Registry[Any], value: Implementation) -> Implementation:
    """The value itself, where the registry has the name and the options are its own; ``auto`` always passes.

    Raises:
        ConfigError: there is no such name or option.
    """
    name, options = split_implementation(value)
    if value != AUTO:
        read_options(registry.kind, name, registry.find(name), options)
    return value
