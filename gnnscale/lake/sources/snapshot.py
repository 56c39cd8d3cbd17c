"""What a source held when a graph was built from it, and whether it has only grown since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from gnnscale.lake.delta_log import log_files, open_delta
from gnnscale.lake.sources.source import Source, SourceFormat
from gnnscale.lake.sources.source_rows import SourceRows, list_files, open_rows
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
        return SourceSnapshot(source, open_delta(source.uri, storage_options).version())
    files = [SourceFile(path, info.size, info.mtime_ns or 0) for path, info in list_files(source, storage_options)]
    return SourceSnapshot(source, None, tuple(files))


def snapshot_rows(
    source: Source, storage_options: Mapping[str, str] | None = None, snapshot: SourceSnapshot | None = None
) -> SourceRows:
    """The rows of a source, as they were at a snapshot where there is one.

    Raises:
        LakeError: as in :func:`open_rows`.
    """
    if snapshot is None or snapshot.version is not None:
        return open_rows(source, storage_options, snapshot.version if snapshot else None)
    return open_rows(source, storage_options, only=set(snapshot.paths))


def source_state(source: Source, storage_options: Mapping[str, str] | None = None) -> list[str]:
    """What changes when the rows do: the version of a Delta table, else size and time of every file."""
    taken = take_snapshot(source, storage_options)
    if taken.version is not None:
        return [source.uri, str(taken.version)]
    return [source.uri, *(f"{file.path} {file.size} {file.modified}" for file in taken.files)]


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
    return SourceGrowth(tuple(sorted(there - known)))


def _delta_files(uri: str, version: int, storage_options: dict[str, str]) -> set[str]:
    return {file.path for file in log_files(open_delta(uri, storage_options, version), uri)}


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
