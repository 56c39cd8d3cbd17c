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
from deltalake.fs import DeltaStorageHandler
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

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


def open_folder(path: str, storage_options: Mapping[str, str], make: bool = False) -> tuple[pyarrow.fs.FileSystem, str]:
    """The file system of a table's root, and what goes before a file's path in it.

    Args:
        path: a folder or an object-store URI.
        storage_options: as delta-rs names them.
        make: whether to make a local folder that is not there.
    """
    if "://" not in path:
        local = pyarrow.fs.LocalFileSystem()
        if make:
            local.create_dir(path, recursive=True)
        return local, path.rstrip("/") + "/"
    return pyarrow.fs.PyFileSystem(_StorageHandler(path, dict(storage_options) or None)), ""


class _StorageHandler(DeltaStorageHandler):
    """delta-rs's, whose streams take nothing but bytes where pyarrow hands them buffers."""

    def open_output_stream(self, path: str, metadata: dict[str, str] | None = None) -> pa.PythonFile:
        """A stream that writes one object, which is there when it is closed."""
        return pa.PythonFile(_BytesStream(self._handler.open_output_stream(path, metadata)), "w")


class _BytesStream:
    """A writable stream that turns what it gets into bytes."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    @property
    def closed(self) -> bool:
        return bool(self._stream.closed)

    def write(self, data: Any) -> int:
        return int(self._stream.write(bytes(data)))

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        self._stream.close()

    def tell(self) -> int:
        return int(self._stream.tell())


def commit_files(
    path: str,
    schema: pa.Schema,
    files: Sequence[WrittenFile],
    mode: Literal["overwrite", "append"],
    storage_options: Mapping[str, str],
    metadata: Mapping[str, str] | None = None,
) -> int:
    """Make files the content of a table, or a part of it, in one transaction.

    Args:
        path: root of the table.
        schema: of the files.
        mode: ``overwrite`` replaces what the table holds, ``append`` adds to it.
        metadata: kept with the commit.

    Returns:
        The version committed.

    Raises:
        LakeError: rows are appended to a table of other columns.
    """
    now = int(time.time() * 1000)
    actions: list[AddAction | RemoveAction] = [file.action(now) for file in files]
    options = dict(storage_options) or None
    properties = CommitProperties(custom_metadata=dict(metadata or {}))
    delta_schema = Schema.from_arrow(schema)
    if DeltaTable.is_deltatable(path, options):
        table = DeltaTable(path, storage_options=options)
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
