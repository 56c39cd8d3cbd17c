"""The files of a run in the folders of its tables: written by many, found again, and committed once a table."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime

import pyarrow as pa

from gnnscale.inference.batch_inference import KIND, BatchInference, Partition
from gnnscale.inference.embedding_rows import EMBEDDINGS, PAIRS
from gnnscale.lake import Lake, PartFiles, WrittenFile, committed_by

log = logging.getLogger(__name__)

Finished = Mapping[Partition, tuple[int, ...]]
"""Partition -> bytes of its file in each of its tables."""


def write_partition(lake: Lake, inference: BatchInference, partition: Partition, rows: Mapping[str, pa.Table]) -> None:
    """Write the files of a partition.

    Args:
        lake: where the tables are.
        inference: that the partition is of.
        partition: whose rows they are.
        rows: table -> its rows, in order of node id.
    """
    for table, content in rows.items():
        _parts(lake, table, inference).write(inference.file_name(partition), content)


def find_finished(lake: Lake, inference: BatchInference) -> dict[Partition, tuple[int, ...]]:
    """Partitions whose files are all there, with their sizes in bytes."""
    sizes = {table: _parts(lake, table, inference).sizes() for table in _tables(inference)}
    finished = {}
    for partition in inference.partitions:
        name = inference.file_name(partition)
        found = tuple(sizes[table].get(name, 0) for table in inference.tables[partition.side])
        if all(found):
            finished[partition] = found
    return finished


def commit_inference(lake: Lake, inference: BatchInference, finished: Finished, weights: str = "") -> dict[str, int]:
    """Make the files the content of the tables, one transaction a table; one that holds them already stays.

    Args:
        lake: where the tables are.
        inference: whose partitions are all finished.
        finished: see :func:`find_finished`.
        weights: digest of the model's file, kept with the commit.

    Returns:
        Table -> version that holds the files.

    Raises:
        LakeError: a table holds some of the files beside others, for something else has written to it meanwhile.
    """
    versions = {}
    for table, files in _files(inference, finished).items():
        schema = PAIRS if table == f"pairs_{inference.query}" else EMBEDDINGS
        versions[table] = _parts(lake, table, inference).commit(schema, files, {"weights": weights})
        log.debug("%s: version %d of %d files", table, versions[table], len(files))
    return versions


def committed_inference(lake: Lake, table: str) -> str:
    """Fingerprint of the run that wrote the table's latest version; empty where something else did."""
    return committed_by(lake, table, KIND)


def remove_unfinished(lake: Lake, inference: BatchInference) -> int:
    """Remove files of the query's other runs that were never committed, and what writers that were killed have left.

    Args:
        lake: where the tables are.
        inference: that begins; its finished files stay.

    Returns:
        Files removed.
    """
    removed = sum(_parts(lake, table, inference).remove_unfinished() for table in _tables(inference))
    if removed:
        log.info("removed %d files of a run that was never finished", removed)
    return removed


def _files(inference: BatchInference, finished: Finished) -> dict[str, list[WrittenFile]]:
    files: dict[str, list[WrittenFile]] = {table: [] for table in _tables(inference)}
    for partition in inference.partitions:
        time = f"{datetime.fromtimestamp(partition.anchor, UTC):%Y-%m-%dT%H:%M:%S}.000000Z"
        for table, size in zip(inference.tables[partition.side], finished[partition], strict=True):
            key = "entity" if table == f"pairs_{inference.query}" else "node_id"
            least = {key: partition.start, "anchor_time": time}
            most = {key: partition.stop - 1, "anchor_time": time}
            files[table].append(WrittenFile(inference.file_name(partition), size, len(partition), least, most))
    return files


def _parts(lake: Lake, table: str, inference: BatchInference) -> PartFiles:
    return PartFiles(lake, table, KIND, inference.query, inference.fingerprint)


def _tables(inference: BatchInference) -> list[str]:
    return list(dict.fromkeys(table for tables in inference.tables.values() for table in tables))
