"""Lists where one value stands: the configurations that a search tries."""

from __future__ import annotations

from typing import Any, get_origin

from pydantic import BaseModel

from gnnscale.config.sections.sampling import SamplingSettings
from gnnscale.config.sections.training import ModelSettings, TrainingSettings
from gnnscale.schema import ConfigError, nearest

SECTIONS: dict[str, type[BaseModel]] = {
    "sampling": SamplingSettings,
    "model": ModelSettings,
    "training": TrainingSettings,
}
"""Sections whose values may be lists of values to try."""


def take_lists(content: Any) -> Any:
    """Move lists of values to ``search.space``; the first value of each stands in its place.

    Args:
        content: plain data of a configuration; not changed.

    Returns:
        The configuration, with every key that held a list of values in ``search.space`` under its dotted name.
    """
    if not isinstance(content, dict):
        return content
    content = dict(content)
    found: dict[str, list[Any]] = {}
    for section, model in SECTIONS.items():
        values = content.get(section)
        if not isinstance(values, dict):
            continue
        content[section] = dict(values)
        for key, value in values.items():
            if key in model.model_fields and _is_choice(model, key, value):
                found[f"{section}.{key}"] = value
                content[section][key] = value[0]
    if found:
        search = dict(content.get("search") or {})
        content["search"] = {**search, "space": {**found, **(search.get("space") or {})}}
    return content


def with_values(content: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """The configuration with some dotted keys replaced and no search.

    Args:
        content: plain data of a configuration; not changed.
        values: dotted key -> value.

    Raises:
        ConfigError: a key is not one of the sections that are searched.
    """
    content = {**content, "search": {**content.get("search", {}), "space": {}}}
    for name, value in values.items():
        section, _, key = name.partition(".")
        if section not in SECTIONS or key not in SECTIONS[section].model_fields:
            known = [f"{part}.{field}" for part, model in SECTIONS.items() for field in model.model_fields]
            raise ConfigError(f"search.space can't have '{name}'.{nearest(name, known)}")
        content[section] = {**content[section], key: value}
    return content


def _is_choice(model: type[BaseModel], key: str, value: Any) -> bool:
    if not isinstance(value, list) or not value:
        return False
    if get_origin(model.model_fields[key].annotation) is tuple:
        return all(isinstance(part, list) for part in value)
    return True
