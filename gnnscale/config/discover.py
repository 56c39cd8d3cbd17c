"""Raw tables of a folder that nobody has described: keys and times by the names that are common."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gnnscale.lake import Lake, column_kinds, find_source, text_format
from gnnscale.schema import LakeError, SchemaError, ValueKind

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


def discover_tables(lake: Lake, overrides: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Describe the Delta tables, Parquet, CSV and JSON files of a lake, each as :func:`describe_table` does.

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
    tables = {}
    for name, uri in sources.items():
        kinds = column_kinds(find_source(name, uri, lake.storage_options), lake.storage_options)
        said = {"time_column"} if any(o.startswith(f"tables.{name}.time_column=") for o in overrides) else set()
        tables[name] = {"source": uri, **describe_table(name, kinds, said)}
    return tables


def describe_table(name: str, kinds: Mapping[str, ValueKind], said: Collection[str] = ()) -> dict[str, str]:
    """Key and time of a table that nobody has described, by the names of its columns.

    A primary key is a column ``id``, ``<table>_id`` or that with the table's name in the singular; a time column is the
    only column of times, or the only one whose name says that a row came to be.

    Args:
        name: of the table.
        kinds: its columns and what their values are.
        said: what is known of the table already: nothing is sought for it.

    Returns:
        ``primary_key`` and ``time_column``, where there are such columns.

    Raises:
        SchemaError: several columns could be its time.
    """
    found = {}
    if "primary_key" not in said and (key := _primary_key(name, kinds)):
        found["primary_key"] = key
    if not {"time_column", "time_from"} & set(said) and (time := _time_column(name, kinds)):
        found["time_column"] = time
    return found


def _primary_key(table: str, kinds: Mapping[str, ValueKind]) -> str | None:
    lower = table.lower()
    names = {lower, lower.removesuffix("s"), re.sub(r"ies$", "y", lower), re.sub(r"es$", "", lower)}
    wanted = {"id", "key", *(f"{name}{end}" for name in names for end in ("_id", "id", "_key"))}
    found = [column for column in kinds if column.lower() in wanted]
    return found[0] if found else None


def _time_column(table: str, kinds: Mapping[str, ValueKind]) -> str | None:
    times = [column for column, kind in kinds.items() if kind is ValueKind.TIME]
    if len(times) <= 1:
        return times[0] if times and CAME.search(times[0]) else None
    likely = [column for column in times if CAME.search(column)]
    if len(likely) == 1:
        return likely[0]
    raise SchemaError(
        f"table '{table}' has several columns of times ({', '.join(times)}): say which tells when a row came to be, "
        f"as in tables.{table}.time_column={times[0]}"
    )
