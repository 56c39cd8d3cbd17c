"""Files that many write into a table's folder, found again by a run that takes up a killed one, and committed once."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from gnnscale.lake.delta_files import Replaced, WrittenFile, commit_files
from gnnscale.lake.delta_log import table_files
from gnnscale.lake.lake import Lake
from gnnscale.lake.parquet_pages import write_parquet
from gnnscale.lake.places import open_folder
from gnnscale.schema import LakeError


@dataclass(frozen=True)
class PartFiles:
    """Files of one run in the folder of one table.

    Args:
        lake: where the table is.
        table: its name.
        kind: of run; it begins the files' names.
        query: whose run it is; it comes next, and has no dash.
        fingerprint: of all that the rows depend on and of how they are cut into files, in hexadecimal.
    """

    lake: Lake
    table: str
    kind: str
    query: str
    fingerprint: str

    @property
    def prefix(self) -> str:
        """What the names of the run's files begin with."""
        return f"{self.kind}-{self.query}-{self.fingerprint}-"

    def write(self, name: str, rows: pa.Table, numbers: Sequence[str] = ()) -> None:
        """Write a file; it appears whole or not at all, and replaces one that is there.

        Args:
            name: of the file.
            rows: to be written.
            numbers: columns whose values hardly repeat, which no dictionary is tried for.
        """
        filesystem, root = open_folder(self.lake.table_uri(self.table), self.lake.storage_options, make=True)
        # An object appears when it is whole; a local file gets its name when it is.
        path = f"{root}.{name}.{uuid.uuid4().hex[:8]}" if self.lake.local else root + name
        with filesystem.open_output_stream(path) as sink:
            write_parquet(rows, sink, **_encoding(rows, numbers))
        if self.lake.local:
            filesystem.move(path, root + name)

    def sizes(self) -> dict[str, int]:
        """Name -> bytes of the run's files that are there."""
        return {name: size for name, size in self._all() if name.startswith(self.prefix)}

    def count_rows(self, name: str) -> int:
        """Rows of one of the files."""
        filesystem, root = open_folder(self.lake.table_uri(self.table), self.lake.storage_options)
        with filesystem.open_input_file(root + name) as source:
            return int(pq.read_metadata(source).num_rows)

    def commit(self, schema: pa.Schema, files: Sequence[WrittenFile], stamp: Mapping[str, str] | None = None) -> int:
        """Make the files the content of the table; where it holds just them already, it stays as it is.

        Args:
            schema: columns, as Delta has them.
            files: of this run.
            stamp: kept with the commit, beside the query and, under the name of the kind, the fingerprint.

        Returns:
            The version that holds them.

        Raises:
            LakeError: the table holds some of the files beside others, for something else has written to it meanwhile.
        """
        there = set(table_files(self.lake.open(self.table))) if self.lake.exists(self.table) else set()
        shared = there & {file.path for file in files}
        if files and len(shared) == len(files) == len(there):
            return self.lake.version(self.table)
        if shared:
            raise LakeError(f"{self.table} was changed after the run that wrote it; run that again with --force")
        stamp = {**(stamp or {}), "query": self.query, self.kind: self.fingerprint}
        uri, options = self.lake.table_uri(self.table), self.lake.storage_options
        return commit_files(uri, schema, files, "overwrite", options, stamp)

    def replace(
        self,
        schema: pa.Schema,
        files: Sequence[WrittenFile],
        replaced: Sequence[str],
        version: int,
        stamp: Mapping[str, str],
    ) -> int:
        """Put files in the place of some of the table's in one transaction; the others stay.

        Args:
            schema: columns, as Delta has them.
            files: of this run.
            replaced: files of the table.
            version: of the table, that they were read from.
            stamp: kept with the commit, as with :meth:`commit`.

        Returns:
            The version that holds them.

        Raises:
            CommitFailedError: something has been committed since that version.
        """
        stamp = {**stamp, "query": self.query, self.kind: self.fingerprint}
        uri, options = self.lake.table_uri(self.table), self.lake.storage_options
        return commit_files(uri, schema, files, "append", options, stamp, Replaced(version, replaced))

    def remove_unfinished(self, whole: bool = True) -> int:
        """Remove files of the query's other runs of the kind that were never committed, and what killed writers left.

        Args:
            whole: whether files that are whole are removed, too, which another run may be about to commit.

        Returns:
            Files removed.
        """
        kept, removed = self._kept() | {self.fingerprint}, 0
        filesystem, root = open_folder(self.lake.table_uri(self.table), self.lake.storage_options)
        for name, _ in self._all():
            match = self._pattern.fullmatch(name)
            unfinished = match and match[1] == self.query and (match[2] not in kept or name.startswith("."))
            if unfinished and (whole or name.startswith(".")):
                filesystem.delete_file(root + name)
                removed += 1
        return removed

    @property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(rf"\.?{self.kind}-([a-z0-9_]+)-([0-9a-f]+)-.*")

    def _kept(self) -> set[str]:
        """Fingerprints of the runs whose files a version that can still be read holds."""
        if not self.lake.exists(self.table):
            return set()
        history = self.lake.history(self.table)
        found = {str(entry[self.kind]) for entry in history if self.kind in entry}
        earliest = min(int(entry["version"]) for entry in history)
        # Commits before the earliest one are gone, and their files may be in it.
        paths = table_files(self.lake.open(self.table, earliest))
        return found | {match[2] for path in paths if (match := self._pattern.fullmatch(path))}

    def _all(self) -> Iterator[tuple[str, int]]:
        """Name and bytes of each file in the table's folder."""
        filesystem, root = open_folder(self.lake.table_uri(self.table), self.lake.storage_options)
        selector = pyarrow.fs.FileSelector(root.rstrip("/"), allow_not_found=True)
        for entry in filesystem.get_file_info(selector):
            if entry.type == pyarrow.fs.FileType.File:
                yield entry.base_name, entry.size


def _encoding(rows: pa.Table, numbers: Sequence[str]) -> dict[str, Any]:
    """How the columns of a file are written."""
    if not numbers:
        return {"compression": "zstd"}
    repeating = [name for name in rows.column_names if name not in numbers]
    compression = {name: "none" if name in numbers else "zstd" for name in rows.column_names}
    return {"compression": compression, "use_dictionary": repeating, "write_statistics": repeating}


def committed_by(lake: Lake, table: str, kind: str) -> str:
    """Fingerprint of the run of a kind that wrote the table's latest version; empty where something else did."""
    if not lake.exists(table):
        return ""
    return str(next(iter(lake.history(table, 1))).get(kind, ""))
