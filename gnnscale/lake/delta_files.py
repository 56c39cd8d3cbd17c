"""Parquet files that many writers leave in a folder, and the one Delta commit that makes them a table."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa
import pyarrow.fs
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from gnnscale.lake.places import open_folder
from gnnscale.schema import LakeError


@dataclass(frozen=True)
class WrittenFile:
    """A file that was written and is not in the table yet.

    Args:
        path: under the table's root.
        size: bytes.
        rows: their number.
        least, most: column -> smallest and largest value, for readers that skip files.
    """

    path: str
    size: int
    rows: int
    least: Mapping[str, Any] = field(default_factory=dict)
    most: Mapping[str, Any] = field(default_factory=dict)

    def action(self, now: int) -> AddAction:
        """As an entry of the table's log, modified at ``now`` (milliseconds)."""
        statistics = {"numRecords": self.rows, "minValues": dict(self.least), "maxValues": dict(self.most)}
        return AddAction(self.path, self.size, {}, now, True, json.dumps({k: v for k, v in statistics.items() if v}))


@dataclass(frozen=True)
class Replaced:
    """Files that make room for others.

    Args:
        version: of the table, that they were read from.
        files: their paths under the table's root.
    """

    version: int
    files: Sequence[str]


def commit_files(
    path: str,
    schema: pa.Schema,
    files: Sequence[WrittenFile],
    mode: Literal["overwrite", "append"],
    storage_options: Mapping[str, str],
    metadata: Mapping[str, str] | None = None,
    replaced: Replaced | None = None,
) -> int:
    """Make files the content of a table, or a part of it, in one transaction.

    Args:
        path: root of the table.
        schema: of the files.
        mode: ``overwrite`` replaces what the table holds, ``append`` adds to it.
        metadata: kept with the commit.
        replaced: with ``append``, what makes room for them.

    Returns:
        The version committed.

    Raises:
        LakeError: rows are appended to a table of other columns.
        CommitFailedError: files are replaced, and something has been committed since they were read.
    """
    now = int(time.time() * 1000)
    actions: list[AddAction | RemoveAction] = [file.action(now) for file in files]
    actions += [RemoveAction(path, True, now) for path in (replaced.files if replaced else ())]
    options = dict(storage_options) or None
    # Tried once, no commit of others can come between what was read and what is replaced.
    retries = 0 if replaced else None
    properties = CommitProperties(custom_metadata=dict(metadata or {}), max_commit_retries=retries)
    delta_schema = Schema.from_arrow(schema)
    if DeltaTable.is_deltatable(path, options):
        table = DeltaTable(path, replaced.version if replaced else None, options)
        if mode == "append" and table.schema() != delta_schema:
            raise LakeError(f"can't append to {path}: its columns are {table.schema()}, not {delta_schema}")
        table.create_write_transaction(actions, mode, delta_schema, commit_properties=properties)
    else:
        added = [file.action(now) for file in files]
        create_table_with_add_actions(
            path, delta_schema, added, "error", storage_options=options, commit_properties=properties
        )
    return DeltaTable(path, storage_options=options).version()


def remove_strays(path: str, storage_options: Mapping[str, str], job: str, kept: set[str]) -> None:
    """Remove what attempts of a job that failed, or were overtaken, have left.

    Args:
        path: root of the table.
        job: that files of the job have in their names, between dashes.
        kept: files that were committed.
    """
    filesystem, root = open_folder(path, storage_options)
    selector = pyarrow.fs.FileSelector(root.rstrip("/"), allow_not_found=True)
    for entry in filesystem.get_file_info(selector):
        if f"-{job}-" in entry.base_name and entry.base_name not in kept:
            filesystem.delete_file(root + entry.base_name)
