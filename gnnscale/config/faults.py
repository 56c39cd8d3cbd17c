"""What is wrong with a configuration, in the words of who wrote it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import groupby
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel

from gnnscale.config.sections.settings import Settings
from gnnscale.schema import nearest

RENAMED_KEYS: Final = {
    "model.siblings": "group_columns",
    "training.ahead": "prefetch",
    "relations.*.facts": "event_table",
    "retrieval.index.effort": "nprobe (of hnsw: ef_search)",
    "retrieval.index.lists": "nlist",
}
"""Keys of earlier versions, ``*`` for any name, and what their last part is called now."""


RUN_MODE: Final = "mode"

MOST_HINTS: Final = 3
"""Keys that are named for one that stands in the wrong section."""


def explain_faults(faults: Iterable[Mapping[str, Any]], root: type[BaseModel] = Settings) -> list[str]:
    """A line for each key that pydantic found at fault; see :func:`explain_fault`.

    A value that may be of several types is at fault once for each of them, under a name that is no key.
    """
    lines: list[str] = []
    for name, group in groupby(faults, key=lambda fault: _choice_name(fault, root)):
        own = list(group)
        if not name:
            lines += [explain_fault(fault, root) for fault in own]
            continue
        allowed = [fault["msg"].lower().partition(", ")[0].removeprefix("input should be ") for fault in own]
        lines.append(f"configuration key '{name}': input should be {' or '.join(allowed)}; it is {own[0]['input']!r}")
    return list(dict.fromkeys(lines))


def _choice_name(fault: Mapping[str, Any], root: type[BaseModel]) -> str:
    """The key whose value may be of several types, none of them a section, one of which is at fault; or empty."""
    path, section = _walk(fault["loc"][:-1], root)
    members = [member for member in get_args(section) if member is not type(None)]
    union = get_origin(section) in (Union, UnionType) and len(members) > 1
    return ".".join(path) if union and not any(_is_section(member) for member in members) else ""


def explain_fault(fault: Mapping[str, Any], root: type[BaseModel] = Settings) -> str:
    """One line for a fault that pydantic found, with the key's full name.

    Args:
        fault: one of ``ValidationError.errors()``.
        root: section that was checked.
    """
    loc = fault["loc"]
    path, _ = _walk(loc, root)
    name = ".".join(path)
    if fault["type"] == "extra_forbidden":
        if now := _renamed(path):
            return f"configuration key '{name}' is called '{now}' now"
        if path == [RUN_MODE]:
            return f"'{name}' is no configuration key: a run mode is asked for by --{RUN_MODE}"
        known = _known_keys(loc[:-1], root)
        elsewhere = _keys_called(path[-1], root)
        if 0 < len(elsewhere) <= MOST_HINTS and not get_close_matches(path[-1], known, cutoff=0.8):
            found = " or ".join(f"'{key}'" for key in elsewhere)
            return f"unknown configuration key '{name}'. Did you mean {found}?"
        hint = nearest(path[-1], known)
        above = "".join(f"{part}." for part in path[:-1])
        return f"unknown configuration key '{name}'." + hint.replace("Did you mean '", f"Did you mean '{above}")
    if fault["type"] == "missing":
        return f"configuration key '{name}' is missing"
    if fault["type"] == "union_tag_not_found":
        return f"configuration key '{name}.kind' is missing.{nearest('', _kinds(_walk(loc, root)[1]))}"
    if fault["type"] == "union_tag_invalid":
        tag = fault["ctx"]["tag"]
        return f"configuration key '{name}.kind' is unknown '{tag}'.{nearest(tag, _kinds(_walk(loc, root)[1]))}"
    if fault["type"] == "value_error" and not name:
        # Of values that don't go together, which it names by itself.
        return str(fault["ctx"]["error"])
    if fault["type"] == "value_error":
        return f"configuration key '{name}': {fault['ctx']['error']}"
    return f"configuration key '{name}': {fault['msg'].lower()}; it is {fault['input']!r}"


def _keys_called(name: str, section: Any, above: str = "") -> list[str]:
    """Full names of the keys of sections whose last part is a name."""
    found = []
    for key, field in section.model_fields.items():
        if key == name:
            found.append(above + key)
        inner = _without_none(field.annotation)
        if _is_section(inner):
            found += _keys_called(name, inner, f"{above}{key}.")
    return found


def _renamed(path: Sequence[str]) -> str | None:
    """What a key of earlier versions is called now, under its full name."""
    for old, now in RENAMED_KEYS.items():
        before = old.split(".")
        if len(before) == len(path) and all(a in ("*", b) for a, b in zip(before, path, strict=True)):
            return ".".join([*path[:-1], now])
    return None


def _known_keys(path: Sequence[Any], root: type[BaseModel]) -> list[str]:
    _, section = _walk(path, root)
    return list(section.model_fields) if _is_section(section) else []


def _walk(path: Sequence[Any], root: type[BaseModel]) -> tuple[list[str], Any]:
    """The keys of a fault's place as a person wrote them, and the type of what stands there."""
    section: Any = root
    names = []
    for part in path:
        kinds = _kinds(section)
        if part in kinds:
            # The kind that pydantic has chosen by is no key.
            section = kinds[part]
            continue
        names.append(str(part))
        if _is_section(section) and part in section.model_fields:
            section = _without_none(section.model_fields[part].annotation)
        elif get_origin(section) in (dict, Mapping):
            section = get_args(section)[1]
        else:
            section = None
    return names, section


def _without_none(section: Any) -> Any:
    """What stands there where anything does."""
    members = [member for member in get_args(section) if member is not type(None)]
    return members[0] if get_origin(section) in (Union, UnionType) and len(members) == 1 else section


def _kinds(section: Any) -> dict[str, type[BaseModel]]:
    """Kind -> section, of a place where several may stand."""
    if get_origin(section) is not Annotated:
        return {}
    members = [member for member in get_args(get_args(section)[0]) if _is_section(member)]
    return {get_args(member.model_fields["kind"].annotation)[0]: member for member in members}


def _is_section(section: Any) -> bool:
    return isinstance(section, type) and issubclass(section, BaseModel)
