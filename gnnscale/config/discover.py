"""Raw tables of a folder that nobody has described: keys and times by the names that are common."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from gnnscale.config.lake_sources import lake_sources
from gnnscale.lake import Lake, SourceRows, arrow_kinds, find_source, open_rows
from gnnscale.schema import LakeError, SchemaError, ValueKind, key_column, looks_like_epochs, names_key

CAME: Final = re.compile(
    r"(_at|_on|_time|_date|_ts)$|^(timestamp|time|date|datetime|ts|created|joined|since|start)", re.I
)
"""Names of columns that say when a row came to be."""

NUMBERED: Final = re.compile(rf"{CAME.pattern}|epoch|unix|(time|date|stamp|At)$", re.I)
"""Names of columns of whole numbers that may be times."""

NOT_CAME: Final = re.compile(
    r"churn|clos|(?:^|_)end|(?-i:[a-z]End)|expir|until|left|leave|cancel|delet|remov|terminat|birth|born|dob$", re.I
)
"""Names of columns that say when a row with a key ended, or something else of it that is not when it came to be."""


def discover_tables(lake: Lake, overrides: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Describe the Delta tables, Parquet, CSV and JSON files of a lake, as :func:`describe_tables` does.

    Args:
        lake: where the tables lie.
        overrides: ``key=value`` that will be laid over; a table whose time they name may have several.

    Returns:
        Section ``tables`` of a configuration.

    Raises:
        LakeError: there are no tables.
        SchemaError: a table has several columns that could be its time.
    """
    sources = lake_sources(lake)
    if not sources:
        raise LakeError(
            f"lake {lake.uri} holds neither a graph nor tables; run a recipe there, or put Delta tables, Parquet, "
            "CSV or JSON files into it"
        )
    options = lake.storage_options
    kinds = {name: with_epochs(open_rows(find_source(name, uri, options), options)) for name, uri in sources.items()}
    found = describe_tables(kinds, {name: _said(name, overrides) for name in sources})
    return {name: {"source": uri, **found[name]} for name, uri in sources.items()}


def with_epochs(rows: SourceRows) -> dict[str, ValueKind]:
    """Columns of a source and what their values are: whole numbers that are epoch times by name and value are times.

    Only the first rows are looked at.
    """
    kinds = arrow_kinds(rows.schema)
    named = [f.name for f in rows.schema if pa.types.is_integer(f.type) and NUMBERED.search(f.name)]
    batch = next(rows.batches(rows.parts[:1]), None) if named else None
    return kinds if batch is None else kinds | epoch_kinds(pa.Table.from_batches([batch]).select(named))


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
        f"as in tables.{table}.time_column={times[0]}"
    )
