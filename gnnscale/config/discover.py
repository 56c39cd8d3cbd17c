"""Raw tables of a folder that nobody has described: keys and times by the names that are common."""

from __future__ import annotations

import logging
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from gnnscale.config.lake_sources import lake_sources
from gnnscale.lake import Lake, SourceRows, arrow_kinds, find_source, open_rows
from gnnscale.schema import (
    ConfigError,
    LakeError,
    SchemaError,
    Table,
    ValueKind,
    fitting_formats,
    key_column,
    looks_like_epochs,
    names_key,
    nearest,
)

log = logging.getLogger(__name__)

ISO: Final = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?")
"""How days and times are written in ISO 8601."""

LOOKED_AT: Final = 1_000
"""Rows of a table that are looked at for times that are written as text."""

CAME: Final = re.compile(
    r"([_ ]at|[_ ]on|[_ ]time|[_ ]date|[_ ]ts)$|^(timestamp|time|date|datetime|ts|created|joined|since|start)", re.I
)
"""Names of columns that say when a row came to be."""

NUMBERED: Final = re.compile(rf"{CAME.pattern}|epoch|unix|(time|date|stamp|At)$", re.I)
"""Names of columns of whole numbers that may be times."""

ENDED: Final = r"churn|clos|(?:^|[_ ])end|(?-i:[a-z]End)|expir|until|left|leave|cancel|delet|remov|terminat"
"""Names of columns that say when a row with a key ended."""
NOT_CAME: Final = re.compile(rf"{ENDED}|birth|born|dob$", re.I)
"""Those, and of something else of a row that is not when it came to be."""


def discover_tables(lake: Lake, overrides: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Describe the Delta tables, Parquet, CSV and JSON files of a lake, as :func:`describe_tables` does; those without
    rows are left out, and told.

    Args:
        lake: where the tables lie.
        overrides: ``key=value`` that will be laid over; a table whose time they name may have several.

    Returns:
        Section ``tables`` of a configuration.

    Raises:
        LakeError: there are no tables, or none has rows.
        SchemaError: a table has several columns that could be its time.
        ConfigError: an override is of a table that is not there, and says nothing of where its rows would be.
    """
    sources = lake_sources(lake)
    if lake.local and Path(lake.uri).is_file():
        raise LakeError(f"{lake.uri} is a file; a lake is a folder of tables, such as {Path(lake.uri).parent}")
    if lake.local and not Path(lake.uri).exists():
        raise LakeError(f"there is no folder {lake.uri}")
    if not sources:
        raise LakeError(
            f"lake {lake.uri} holds neither a graph nor tables; run a recipe there, or put Delta tables, Parquet, "
            "CSV or JSON files into it"
        )
    _check_names(overrides, sources)
    options = lake.storage_options
    rows = {name: open_rows(find_source(name, uri, options), options) for name, uri in sources.items()}
    first = {name: first_rows(own) for name, own in rows.items()}
    for name in [
        name for name, own in first.items() if own is None and next(rows[name].batches(rows[name].parts), None) is None
    ]:
        log.warning("table '%s' has no rows and is left out", name)
        del rows[name], first[name], sources[name]
    if not sources:
        raise LakeError(f"no table of {lake.uri} has a row")
    kinds = {name: with_epochs(own, first[name]) for name, own in rows.items()}
    said = {name: _said(name, overrides) for name in sources}
    found = describe_tables(kinds, said)
    for name, own in first.items():
        tell_written_times(name, own, said[name])
    return {name: {"source": uri, **found[name]} for name, uri in sources.items()}


def _check_names(overrides: Sequence[str], known: Iterable[str]) -> None:
    said: dict[str, set[str]] = {}
    for key, _, _ in _pairs(overrides):
        parts = key.split(".")
        if parts[0] == "tables" and len(parts) > 2:
            said.setdefault(parts[1], set()).add(parts[2])
    for name, keys in said.items():
        if name not in known and not {"source", "keys_from", "derived"} & keys:
            raise ConfigError(f"unknown table '{name}' in the configuration.{nearest(name, known)}")


def with_epochs(rows: SourceRows, first: pa.Table | None) -> dict[str, ValueKind]:
    """Columns of a source and what their values are: whole numbers that are epoch times by name and value are times.

    Args:
        rows: of the source.
        first: those that are looked at, as :func:`first_rows` gives them.
    """
    kinds = arrow_kinds(rows.schema)
    return kinds if first is None else kinds | epoch_kinds(first)


def first_rows(rows: SourceRows) -> pa.Table | None:
    """Some rows of a source; None where it has none."""
    batch = next(rows.batches(rows.parts[:1]), None)
    return None if batch is None else pa.Table.from_batches([batch])


def tell_written_times(table: str, rows: pa.Table | None, said: Mapping[str, Any]) -> None:
    """Warn of columns of text that read like days: they are categories, and no times, until something is said of them.

    Args:
        table: its name.
        rows: some of its rows; None for none.
        said: what is known of it already: keys of its section ``tables``.
    """
    if rows is None:
        return
    described = {said.get("time_column"), said.get("end_time"), *(said.get("columns") or {})}
    for field in rows.schema:
        if field.name in described or not (pa.types.is_string(field.type) or pa.types.is_large_string(field.type)):
            continue
        texts = [text for text in rows[field.name].slice(0, LOOKED_AT).drop_null().unique().to_pylist() if text.strip()]
        # Digits alone may be anything.
        forms = [] if all(text.isdigit() for text in texts) else fitting_formats(texts)
        if forms or (texts and all(ISO.fullmatch(text.strip()) for text in texts)):
            log.warning(
                "column '%s' of '%s' is text, such as '%s', and taken for categories: if it says when a row came to "
                "be, say tables.%s.time_column=%s%s",
                *(field.name, table, texts[0], table, field.name),
                f" and tables.{table}.time_format='{forms[0]}'" if forms else "",
            )


def epoch_kinds(table: pa.Table) -> dict[str, ValueKind]:
    """Those columns whose names say that they are times, and whose whole numbers are epoch times; as times."""
    found = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_integer(column.type) and NUMBERED.search(name):
            span = pc.min_max(column).as_py()
            if span["min"] is not None and looks_like_epochs(span["min"], span["max"]):
                found[name] = ValueKind.TIME
    return found


def describe_tables(
    kinds: Mapping[str, Mapping[str, ValueKind]], said: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, str]]:
    """Keys and times of tables that nobody has described, by the names of their columns.

    A primary key is a column ``id``, ``<table>_id`` or that with the table's name in the singular. A time column is the
    only one whose name says that a row came to be, or in a table with a foreign key the only column of times, unless
    its name tells, of rows with a key, of an end or a birth.

    Args:
        kinds: table -> its columns and what their values are.
        said: table -> what is known of it already: keys of its section ``tables``, for which nothing is sought.

    Returns:
        Table -> ``primary_key`` and ``time_column``, where there are such columns.

    Raises:
        SchemaError: several columns could be the time of a table.
    """
    found: dict[str, dict[str, str]] = {name: {} for name in kinds}
    keys: dict[str, str | None] = {}
    for name, columns in kinds.items():
        known = said.get(name, {})
        keys[name] = known["primary_key"] if "primary_key" in known else key_column(name, columns)
        if "primary_key" not in known and (key := keys[name]):
            found[name]["primary_key"] = key
    for name, columns in kinds.items():
        known = said.get(name, {})
        others = [(other, key) for other, key in keys.items() if other != name and key]
        rest = set(columns) - {keys[name]}
        linked = bool(known.get("foreign_keys")) or any(
            names_key(column, other, key) for column in rest for other, key in others
        )
        sought = not {"time_column", "time_from"} & set(known)
        if sought and (time := _time_column(name, columns, keyed=bool(keys[name]), linked=linked)):
            found[name]["time_column"] = time
    return found


def possible_ends(table: Table) -> list[str]:
    """Columns of times that are named as if a row with a key ended then, where its ``end_time`` is not said."""
    if table.primary_key is None or table.end_time is not None:
        return []
    times = [column for column, kind in table.kinds.items() if kind is ValueKind.TIME and column != table.time_column]
    return [column for column in times if re.search(ENDED, column, re.I)]


def _said(table: str, overrides: Sequence[str]) -> dict[str, Any]:
    """What overrides say of a table."""
    pairs = _pairs(overrides)
    words = {
        key.removeprefix(f"tables.{table}."): value for key, _, value in pairs if key.startswith(f"tables.{table}.")
    }
    said: dict[str, Any] = {key.partition(".")[0]: value for key, value in words.items()}
    # A table that takes keys from this one is a parent, whether it has rows of its own or not.
    if any(key.endswith(".keys_from") and f"{table}." in value for key, _, value in _pairs(overrides)):
        said.setdefault("foreign_keys", True)
    return said


def _pairs(overrides: Sequence[str]) -> list[tuple[str, str, str]]:
    return [override.partition("=") for override in overrides]


def _time_column(table: str, kinds: Mapping[str, ValueKind], keyed: bool, linked: bool) -> str | None:
    times = [column for column, kind in kinds.items() if kind is ValueKind.TIME]
    if not times:
        return None
    if len(times) == 1:
        other = keyed and NOT_CAME.search(times[0])
        return times[0] if not other and (linked or CAME.search(times[0])) else None
    likely = [column for column in times if CAME.search(column) and not NOT_CAME.search(column)]
    if len(likely) == 1:
        return likely[0]
    raise SchemaError(
        f"table '{table}' has several columns of times ({', '.join(times)}): say which tells when a row came to be, "
        f"as in {shlex.quote(f'tables.{table}.time_column={times[0]}')}"
    )
