"""Raw tables of a folder that nobody has described: keys and times by the names that are common."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gnnscale.lake import Lake, column_kinds, find_source, text_format
from gnnscale.schema import LakeError, SchemaError, ValueKind, names_key

MADE: Final = (
    "ids_",
    "nodes_",
    "edges_",
    "labels_",
    "population_",
    "predictions_",
    "holdout_",
    "embeddings_",
    "pairs_",
    "shards_",
)
"""Prefixes of the tables that gnnscale writes itself."""

CAME: Final = re.compile(
    r"(_at|_on|_time|_date|_ts)$|^(timestamp|time|date|datetime|ts|created|joined|since|start)", re.I
)
"""Names of columns that say when a row came to be."""

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
    sources = {name: lake.table_uri(name) for name in lake.tables() if not name.startswith(MADE)}
    if lake.local and Path(lake.uri).is_dir():
        for path in sorted(Path(lake.uri).iterdir()):
            name = path.name.partition(".")[0]
            if (path.suffix == ".parquet" or text_format(path.name)) and name not in sources:
                sources[name] = str(path)
    if not sources:
        raise LakeError(
            f"lake {lake.uri} holds neither a graph nor tables; run a recipe there, or put Delta tables, Parquet, "
            "CSV or JSON files into it"
        )
    kinds = {
        name: column_kinds(find_source(name, uri, lake.storage_options), lake.storage_options)
        for name, uri in sources.items()
    }
    found = describe_tables(kinds, {name: _said(name, overrides) for name in sources})
    return {name: {"source": uri, **found[name]} for name, uri in sources.items()}


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
        keys[name] = known["primary_key"] if "primary_key" in known else _primary_key(name, columns)
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
    pairs = (override.partition("=") for override in overrides)
    words = {
        key.removeprefix(f"tables.{table}."): value for key, _, value in pairs if key.startswith(f"tables.{table}.")
    }
    return {key.partition(".")[0]: value for key, value in words.items()}


def _primary_key(table: str, kinds: Mapping[str, ValueKind]) -> str | None:
    lower = table.lower()
    names = {lower, lower.removesuffix("s"), re.sub(r"ies$", "y", lower), re.sub(r"es$", "", lower)}
    wanted = {"id", "key", *(f"{name}{end}" for name in names for end in ("_id", "id", "_key"))}
    found = [column for column in kinds if column.lower() in wanted]
    return found[0] if found else None


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
