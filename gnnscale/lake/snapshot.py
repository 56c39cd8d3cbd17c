"""What a source held when a graph was built from it, and whether it has only grown since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlparse

import pyarrow.fs
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from gnnscale.lake.lake import check_readable, table_files
from gnnscale.lake.source import Source, SourceFormat
from gnnscale.schema import LakeError, mask_text


@dataclass(frozen=True)
class SourceFile:
    """A file of a source: its path under the source's (empty for a single file), bytes and nanoseconds."""

    path: str
    size: int
    modified: int


@dataclass(frozen=True)
class SourceSnapshot:
    """A source at one moment; what is read by it stays the same whatever is written meanwhile.

    Args:
        source: where the rows are.
        version: of a Delta table; None for files.
        files: that hold the rows, in order of their paths; none are listed for a Delta table, whose log has them.
    """

    source: Source
    version: int | None = None
    files: tuple[SourceFile, ...] = ()

    @property
    def paths(self) -> list[str]:
        """Full paths of the files."""
        return [f"{self.source.uri.rstrip('/')}/{f.path}" if f.path else self.source.uri for f in self.files]

    def to_dict(self) -> dict[str, Any]:
        """As JSON-serialisable data."""
        files = [[f.path, f.size, f.modified] for f in self.files]
        return {"uri": self.source.uri, "format": str(self.source.format), "version": self.version, "files": files}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SourceSnapshot:
        """Inverse of :meth:`to_dict`."""
        source = Source(data["uri"], SourceFormat(data["format"]))
        return cls(source, data["version"], tuple(SourceFile(*file) for file in data["files"]))


@dataclass(frozen=True)
class SourceGrowth:
    """What came to a source between two snapshots.

    Args:
        files: full paths of the new files.
        obstacle: why the new rows can't be separated from the old ones; empty where they can.
    """

    files: tuple[str, ...] = field(default=())
    obstacle: str = ""


def take_snapshot(source: Source, storage_options: Mapping[str, str] | None = None) -> SourceSnapshot:
    """The source as it is now."""
    if source.format is SourceFormat.DELTA:
        return SourceSnapshot(source, DeltaTable(source.uri, None, dict(storage_options or {}) or None).version())
    if urlparse(source.uri).scheme:
        filesystem, path = pyarrow.fs.FileSystem.from_uri(source.uri)
    else:
        filesystem, path = pyarrow.fs.LocalFileSystem(), source.uri
    info = filesystem.get_file_info(path)
    if info.type != pyarrow.fs.FileType.Directory:
        return SourceSnapshot(source, None, (SourceFile("", info.size, info.mtime_ns),))
    files = []
    for entry in filesystem.get_file_info(pyarrow.fs.FileSelector(path, recursive=True)):
        relative = entry.path.removeprefix(path).lstrip("/")
        if entry.type == pyarrow.fs.FileType.File and _is_read(relative):
            files.append(SourceFile(relative, entry.size, entry.mtime_ns))
    return SourceSnapshot(source, None, tuple(sorted(files, key=lambda file: file.path)))


def growth_since(
    before: SourceSnapshot, now: SourceSnapshot, storage_options: Mapping[str, str] | None = None
) -> SourceGrowth:
    """What came to a source since an earlier snapshot, in which passwords of its URI are masked.

    A Delta table has grown where every file of the earlier version is one of the later: appends leave it so, and
    deletions, updates, overwrites and compactions don't. A folder of Parquet files has grown where its files are as
    they were and there are more. Anything else that differs is an obstacle.
    """
    if before.source != Source(mask_text(now.source.uri), now.source.format):
        return SourceGrowth(obstacle=f"its source was {before.source.uri}")
    if now.source.format is SourceFormat.DELTA:
        return _delta_growth(before, now, dict(storage_options or {}))
    if before.files == now.files:
        return SourceGrowth()
    if now.source.format is not SourceFormat.PARQUET:
        return SourceGrowth(obstacle=f"its {now.source.format.upper()} file has changed")
    if len(now.files) == 1 and not now.files[0].path:
        return SourceGrowth(obstacle="its file has changed")
    known, there = {f.path: f for f in before.files}, {f.path: f for f in now.files}
    gone = [path for path in known if path not in there]
    if gone:
        return SourceGrowth(obstacle=f"{len(gone):,} of its files are gone, such as {gone[0]}")
    changed = [path for path, file in known.items() if there[path] != file]
    if changed:
        return SourceGrowth(obstacle=f"{len(changed):,} of its files have changed, such as {changed[0]}")
    return SourceGrowth(tuple(path for path, file in zip(now.paths, now.files, strict=True) if file.path not in known))


def _delta_growth(before: SourceSnapshot, now: SourceSnapshot, storage_options: dict[str, str]) -> SourceGrowth:
    if before.version == now.version:
        return SourceGrowth()
    assert before.version is not None and now.version is not None
    uri = now.source.uri
    try:
        known, there = (_delta_files(uri, version, storage_options) for version in (before.version, now.version))
    except (DeltaError, LakeError) as error:
        return SourceGrowth(obstacle=f"version {before.version} of its table can't be read: {error}")
    if not known <= there:
        return SourceGrowth(obstacle=_removal(uri, before.version, now.version, storage_options))
    return SourceGrowth(tuple(f"{uri.rstrip('/')}/{path}" for path in sorted(there - known)))


def _delta_files(uri: str, version: int, storage_options: dict[str, str]) -> set[str]:
    table = DeltaTable(uri, version, storage_options or None)
    check_readable(table, uri)
    return set(table_files(table))


def _removal(uri: str, before: int, now: int, storage_options: dict[str, str]) -> str:
    """Which of the later versions took rows away, as its table's history tells."""
    history = DeltaTable(uri, now, storage_options or None).history(now - before)
    removals = [
        f"version {entry['version']} is of {entry['operation']}"
        for entry in history
        if "version" in entry and not _is_append(entry)
    ]
    return f"its table has not only grown: {removals[-1] if removals else f'files of version {before} were removed'}"


def _is_append(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("operationParameters", {}).get("mode") == "Append")


def _is_read(path: str) -> bool:
    """Whether Spark reads a file of that path under a folder: not what is hidden, nor in folders of no partition."""
    *folders, name = path.split("/")
    hidden = any(part.startswith(".") or (part.startswith("_") and "=" not in part) for part in (*folders, name))
    return not hidden and all("=" in folder for folder in folders) and not name.endswith("._COPYING_")
