"""The files of a sweep in the folders of its tables: written by many, found again, and committed once a table."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime

import pyarrow as pa

from gnnscale.inference.embedding_rows import EMBEDDINGS, PAIRS
from gnnscale.inference.sweep import SWEEP, Partition, Sweep
from gnnscale.lake import Lake
from gnnscale.lake.delta_files import WrittenFile
from gnnscale.lake.part_files import PartFiles, committed_by

log = logging.getLogger(__name__)

Finished = Mapping[Partition, tuple[int, ...]]
"""Partition -> bytes of its file in each of its tables."""


def write_partition(lake: Lake, sweep: Sweep, partition: Partition, rows: Mapping[str, pa.Table]) -> None:
    """Write the files of a partition.

    Args:
        lake: where the tables are.
        sweep: that the partition is of.
        partition: whose rows they are.
        rows: table -> its rows, in order of node id.
    """
    for table, content in rows.items():
        _parts(lake, table, sweep).write(sweep.file_name(partition), content)


def find_finished(lake: Lake, sweep: Sweep) -> dict[Partition, tuple[int, ...]]:
    """Partitions whose files are all there, with their sizes in bytes."""
    sizes = {table: _parts(lake, table, sweep).sizes() for table in _tables(sweep)}
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
        schema = PAIRS if table == f"pairs_{sweep.query}" else EMBEDDINGS
        versions[table] = _parts(lake, table, sweep).commit(schema, files)
        log.debug("%s: version %d of %d files", table, versions[table], len(files))
    return versions


def committed_sweep(lake: Lake, table: str) -> str:
    """Fingerprint of the sweep that wrote the table's latest version; empty where something else did."""
    return committed_by(lake, table, SWEEP)


def remove_unfinished(lake: Lake, sweep: Sweep) -> int:
    """Remove files of the query's other sweeps that were never committed, and what writers that were killed have left.

    Args:
        lake: where the tables are.
        sweep: that begins; its finished files stay.

    Returns:
        Files removed.
    """
    removed = sum(_parts(lake, table, sweep).remove_unfinished() for table in _tables(sweep))
    if removed:
        log.info("removed %d files of a sweep that was never finished", removed)
    return removed


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


def _parts(lake: Lake, table: str, sweep: Sweep) -> PartFiles:
    return PartFiles(lake, table, SWEEP, sweep.query, sweep.fingerprint)


def _tables(sweep: Sweep) -> list[str]:
    return list(dict.fromkeys(table for tables in sweep.tables.values() for table in tables))
