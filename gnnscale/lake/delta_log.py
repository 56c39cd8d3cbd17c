"""Delta tables as their logs tell them: opened, checked, and the files that hold their rows."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from gnnscale.schema import LakeError


@dataclass(frozen=True)
class DeltaFile:
    """A file of a table.

    Args:
        path: in full: a path or an object-store URI.
        partition: column -> value, of the columns that the file itself lacks.
    """

    path: str
    partition: tuple[tuple[str, Any], ...] = ()


def open_delta(uri: str, storage_options: Mapping[str, str] | None = None, version: int | None = None) -> DeltaTable:
    """A table at its latest, or the given, version.

    Raises:
        LakeError: there is none, its log can't be read, or it uses a feature that would be read wrong here.
    """
    if "://" not in uri and unquote(uri) != uri:
        # delta-rs would read a neighbor, whose name has the letter that the escape stands for.
        raise LakeError(f"a Delta table can't be in a folder with '%' in its path, as {uri} has; rename the folder")
    try:
        table = DeltaTable(uri, version, dict(storage_options or {}) or None)
    except (DeltaError, OSError, ValueError) as error:
        wanted = f" at version {version}" if version is not None else ""
        raise LakeError(f"Delta table {uri} can't be read{wanted}: {log_fault(error)}") from None
    check_readable(table, uri)
    return table


def log_fault(error: Exception) -> str:
    """What is wrong with a table's log, in one line."""
    if isinstance(error, TableNotFoundError):
        return "its log (_delta_log) is empty or missing"
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if "catalog-managed" in text:
        return "it is managed by a catalog, which alone knows its commits; read it where Spark has that catalog"
    return text


def check_readable(table: DeltaTable, name: str) -> None:
    """Refuse a table whose files alone don't say which rows it holds.

    Raises:
        LakeError: rows are deleted by deletion vectors, or columns are mapped.
    """
    protocol, settings = table.protocol(), table.metadata().configuration
    features = set(protocol.reader_features or ())
    if settings.get("delta.columnMapping.mode", "none") == "none":
        features.discard("columnMapping")
    elif protocol.min_reader_version >= 2:
        features.add("columnMapping")
    if "deletionVectors" in features and not _has_deletions(table):
        features.discard("deletionVectors")
    bad = sorted(features & {"deletionVectors", "columnMapping"})
    if bad:
        raise LakeError(
            f"Delta table '{name}' uses {' and '.join(bad)}, which can't be read without Delta in the JVM; "
            "write it again without, or run where Spark has Delta"
        )


def table_files(table: DeltaTable) -> list[str]:
    """Paths of a table's files under its root, in order of name: that in which the graph stage sorts rows into them."""
    return sorted(unquote(path) for path in pa.table(table.get_add_actions(flatten=True))["path"].to_pylist())


def log_files(table: DeltaTable, uri: str) -> list[DeltaFile]:
    """The files of a table in order of their paths, with the values of its partitions as its log has them.

    Args:
        table: the table.
        uri: its root; a shallow clone has files elsewhere.
    """
    actions = pa.table(table.get_add_actions(flatten=True))
    columns = list(table.metadata().partition_columns)
    values = [actions[f"partition.{column}"].to_pylist() for column in columns]
    found = []
    for place, path in enumerate(actions["path"].to_pylist()):
        partition = tuple((column, known[place]) for column, known in zip(columns, values, strict=True))
        found.append(DeltaFile(_full_path(unquote(path), uri), partition))
    return sorted(found, key=lambda file: file.path)


def _full_path(path: str, uri: str) -> str:
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", path):
        return re.sub(r"^file:(//)?(?=/)", "", path)
    return path if path.startswith("/") else f"{uri.rstrip('/')}/{path}"


def _has_deletions(table: DeltaTable) -> bool:
    try:
        return bool(pa.table(table.deletion_vectors()).num_rows)
    except DeltaError:
        # There are some, of a form that is not known here.
        return True


def logged_commits(log: Path) -> list[dict[str, Any]]:
    """Commits of a log, the latest first, as delta-rs gives them."""
    commits = sorted((path for path in log.glob("*.json") if path.stem.isdigit()), reverse=True)
    found: list[dict[str, Any]] = []
    for path in commits:
        actions = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
        said: dict[str, Any] = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
        found.append({**said, "version": int(path.stem)})
    return found
