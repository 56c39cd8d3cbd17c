"""The files of a sweep in the folders of its tables: written by many, found again, and committed once a table."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from gnnscale.inference.embedding_rows import EMBEDDINGS, PAIRS
from gnnscale.inference.sweep import Partition, Sweep
from gnnscale.lake import Lake, table_files
from gnnscale.lake.delta_files import WrittenFile, commit_files, open_folder
from gnnscale.schema import LakeError

log = logging.getLogger(__name__)

Finished = Mapping[Partition, tuple[int, ...]]
"""Partition -> bytes of its file in each of its tables."""

NAME = re.compile(r"\.?sweep-([a-z0-9_]+)-([0-9a-f]+)-.*")
"""Of a sweep's file: the query, which has no dash in its name, and the fingerprint; a dot leads one not yet whole."""


def write_partition(lake: Lake, sweep: Sweep, partition: Partition, rows: Mapping[str, pa.Table]) -> None:
    """Write the files of a partition; each appears whole or not at all, and replaces one that is there.

    Args:
        lake: where the tables are.
        sweep: that the partition is of.
        partition: whose rows they are.
        rows: table -> its rows, in order of node id.
    """
    name = sweep.file_name(partition)
    for table, content in rows.items():
        filesystem, root = open_folder(lake.table_uri(table), lake.storage_options, make=True)
        # An object appears when it is whole; a local file gets its name when it is.
        path = f"{root}.{name}.{uuid.uuid4().hex[:8]}" if lake.local else root + name
        with filesystem.open_output_stream(path) as sink:
            pq.write_table(content, sink, compression="zstd")
        if lake.local:
            filesystem.move(path, root + name)


def find_finished(lake: Lake, sweep: Sweep) -> dict[Partition, tuple[int, ...]]:
    """Partitions whose files are all there, with their sizes in bytes."""
    sizes = {table: dict(_sizes(lake, table)) for table in _tables(sweep)}
    finished = {}
    for partition in sweep.partitions:
        name = sweep.file_name(partition)
        found = tuple(sizes[table].get(name, 0) for table in sweep.tables[partition.side])
        if all(found):
            finished[partition] = found
    return finished


def commit_sweep(lake: Lake, sweep: Sweep, finished: Finished) -> dict[str, int]:
    """Make the files the content of the tables, one transaction a table; one that holds them already stays.

    Args:
        lake: where the tables are.
        sweep: whose partitions are all finished.
        finished: see :func:`find_finished`.

    Returns:
        Table -> version that holds the files.

    Raises:
        LakeError: a table holds some of the files beside others, for something else has written to it meanwhile.
    """
    versions = {}
    for table, files in _files(sweep, finished).items():
        there = set(table_files(lake.open(table))) if lake.exists(table) else set()
        shared = there & {file.path for file in files}
        if files and len(shared) == len(files) == len(there):
            versions[table] = lake.version(table)
            continue
        if shared:
            raise LakeError(f"{table} was changed after the sweep that wrote it; embed again with --force")
        schema = PAIRS if table == f"pairs_{sweep.query}" else EMBEDDINGS
        stamp = {"query": sweep.query, "sweep": sweep.fingerprint}
        uri, options = lake.table_uri(table), lake.storage_options
        versions[table] = commit_files(uri, schema, files, "overwrite", options, stamp)
        log.debug("%s: version %d of %d files", table, versions[table], len(files))
    return versions


def committed_sweep(lake: Lake, table: str) -> str:
    """Fingerprint of the sweep that wrote the table's latest version; empty where something else did."""
    if not lake.exists(table):
        return ""
    latest = next(iter(lake.open(table).history(1)))
    return str(latest.get("sweep", ""))


def remove_unfinished(lake: Lake, sweep: Sweep) -> int:
    """Remove files of the query's other sweeps that were never committed, and what writers that were killed have left.

    Args:
        lake: where the tables are.
        sweep: that begins; its finished files stay.

    Returns:
        Files removed.
    """
    removed = 0
    for table in _tables(sweep):
        kept = _committed(lake, table) | {sweep.fingerprint}
        filesystem, root = open_folder(lake.table_uri(table), lake.storage_options)
        for name, _ in _sizes(lake, table):
            match = NAME.fullmatch(name)
            if match and match[1] == sweep.query and (match[2] not in kept or name.startswith(".")):
                filesystem.delete_file(root + name)
                removed += 1
    if removed:
        log.info("removed %d files of a sweep that was never finished", removed)
    return removed


def _committed(lake: Lake, table: str) -> set[str]:
    """Fingerprints of the sweeps whose files a version that can still be read holds."""
    if not lake.exists(table):
        return set()
    history = lake.open(table).history()
    found = {str(entry["sweep"]) for entry in history if "sweep" in entry}
    earliest = min(int(entry["version"]) for entry in history)
    # Commits before the earliest one are gone, and their files may be in it.
    names = [match[2] for path in table_files(lake.open(table, earliest)) if (match := NAME.fullmatch(path))]
    return found | set(names)


def _files(sweep: Sweep, finished: Finished) -> dict[str, list[WrittenFile]]:
    files: dict[str, list[WrittenFile]] = {table: [] for table in _tables(sweep)}
    for partition in sweep.partitions:
        time = f"{datetime.fromtimestamp(partition.anchor, UTC):%Y-%m-%dT%H:%M:%S}.000000Z"
        for table, size in zip(sweep.tables[partition.side], finished[partition], strict=True):
            key = "entity" if table == f"pairs_{sweep.query}" else "node_id"
            least = {key: partition.start, "anchor_time": time}
            most = {key: partition.stop - 1, "anchor_time": time}
            files[table].append(WrittenFile(sweep.file_name(partition), size, len(partition), least, most))
    return files


def _tables(sweep: Sweep) -> list[str]:
    return list(dict.fromkeys(table for tables in sweep.tables.values() for table in tables))


def _sizes(lake: Lake, table: str) -> Iterator[tuple[str, int]]:
    """Name and bytes of each file in a table's folder."""
    filesystem, root = open_folder(lake.table_uri(table), lake.storage_options)
    selector = pyarrow.fs.FileSelector(root.rstrip("/"), allow_not_found=True)
    for entry in filesystem.get_file_info(selector):
        if entry.type == pyarrow.fs.FileType.File:
            yield entry.base_name, entry.size
