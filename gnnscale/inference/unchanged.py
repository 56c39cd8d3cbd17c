"""Which nodes a run need not encode, because nothing that the model reads of them has changed since the last one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray

from gnnscale.inference.batch_inference import Basis, BatchInference, Partition, Side
from gnnscale.inference.embedding_rows import TIMESTAMP, anchor_times, with_fixed_size
from gnnscale.inference.partition_files import committed_inference
from gnnscale.lake import Lake

log = logging.getLogger(__name__)

Digests = Mapping[tuple[Side, int], NDArray[np.uint64]]
"""Side and anchor (epoch seconds) -> digest of each node, ``[nodes]``."""

RECORD = "sweep_{query}"
REACH = "reach_{query}"
"""Table of the digests: side, anchor_time, node_id, digest."""


@dataclass(frozen=True)
class LastInference:
    """The record of a query's last run that kept digests.

    Args:
        fingerprint: of the run.
        model: see :func:`gnnscale.inference.batch_inference.model_key`.
        versions: table -> version that it committed.
        reach: version of the digests' table.
    """

    fingerprint: str
    model: str
    versions: Mapping[str, int]
    reach: int

    @property
    def basis(self) -> Basis:
        """What a later run copies from."""
        return Basis(self.fingerprint, dict(self.versions))


def find_basis(lake: Lake, query: str, model: str) -> LastInference | None:
    """The last run, where rows of it can stand for those of unchanged nodes; says why not in the log.

    Args:
        lake: where the tables are.
        query: its name.
        model: of the run that begins.
    """
    record = lake.read_record(RECORD.format(query=query))
    if record is None:
        log.info("all nodes are embedded: no run of query '%s' has kept what it read", query)
        return None
    last = LastInference(**record)
    if last.model != model:
        log.info("all nodes are embedded: the model, its sampling or its device is another than in the last run")
        return None
    return last


def basis_holds(lake: Lake, last: LastInference, inference: BatchInference) -> bool:
    """Whether the tables are still those of the last run, but for those that the new one has committed already."""
    for table, version in last.versions.items():
        if lake.exists(table) and lake.version(table) == version:
            continue
        if committed_inference(lake, table) != inference.fingerprint:
            log.info("all nodes are embedded: %s was written again since the last run", table)
            return False
    return True


def changed_nodes(
    lake: Lake, query: str, last: LastInference, now: Digests
) -> dict[tuple[Side, int], NDArray[np.bool_]]:
    """Which nodes are new or have another digest than in the last run, bool ``[nodes]``; all of a new anchor.

    Args:
        lake: holds the digests.
        query: its name.
        last: its record.
        now: digests of the graph as it is.
    """
    table, columns = REACH.format(query=query), ["side", "anchor_time", "node_id", "digest"]
    changed = {}
    for (side, anchor), digests in now.items():
        wanted = (ds.field("side") == side) & (ds.field("anchor_time") == _time(anchor))
        old = _table(lake, table, last.reach, columns, wanted)
        if not old.num_rows:
            log.info("all %s are embedded: the last run had another anchor than %s", side, _time(anchor).as_py())
        before = np.zeros(len(digests), np.uint64)
        known = np.zeros(len(digests), bool)
        nodes = old["node_id"].to_numpy()
        within = nodes < len(digests)
        before[nodes[within]] = old["digest"].to_numpy()[within].view(np.uint64)
        known[nodes[within]] = True
        changed[side, anchor] = ~known | (before != digests)
    return changed


def keep_digests(
    lake: Lake, inference: BatchInference, model: str, versions: Mapping[str, int], digests: Digests
) -> None:
    """Record a run that is committed, so that the next can build on it."""
    reach = REACH.format(query=inference.query)
    parts = [_digest_rows(side, anchor, values) for (side, anchor), values in digests.items()]
    reader = pa.RecordBatchReader.from_batches(parts[0].schema, parts)
    version = lake.write(reach, reader, metadata={"query": inference.query, "sweep": inference.fingerprint})
    record: dict[str, Any] = {
        "fingerprint": inference.fingerprint,
        "model": model,
        "versions": dict(versions),
        "reach": version,
    }
    lake.write_record(RECORD.format(query=inference.query), record)


def read_rows(lake: Lake, inference: BatchInference, table: str, partition: Partition) -> pa.Table:
    """Rows of a partition's nodes as the run's basis has them, in order of node id; new nodes have none."""
    assert inference.basis is not None
    version = inference.basis.versions[table]
    columns = lake.open(table, version).to_pyarrow_dataset().schema.names
    key = columns[0]
    inside = (ds.field(key) >= partition.start) & (ds.field(key) < partition.stop)
    found = _table(lake, table, version, columns, inside & (ds.field("anchor_time") == _time(partition.anchor)))
    return with_fixed_size(found.sort_by(key).combine_chunks())


def replace_rows(old: pa.Table, new: pa.Table) -> pa.Table:
    """Rows in order of node id, with the new ones in the place of old ones of the same node.

    Args:
        old: rows of a table; its first column is the node id.
        new: of the same columns.
    """
    if not old.num_rows:
        return new
    key = new.column_names[0]
    kept = old.filter(pc.invert(pc.is_in(old[key], value_set=new[key].combine_chunks())))
    rows = pa.concat_tables([kept, new.cast(kept.schema)])
    # Arrow can't sort lists of a fixed size along, and can take them.
    return rows.take(pc.sort_indices(rows, [(key, "ascending")])).combine_chunks()


def _digest_rows(side: Side, anchor: int, digests: NDArray[np.uint64]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {
            "side": pa.repeat(pa.scalar(side), len(digests)),
            "anchor_time": anchor_times(anchor, len(digests)),
            "node_id": np.arange(len(digests)),
            "digest": digests.view(np.int64),
        }
    )


def _table(lake: Lake, name: str, version: int, columns: list[str], wanted: ds.Expression) -> pa.Table:
    """Rows that meet a condition, in memory."""
    schema = lake.open(name, version).to_pyarrow_dataset().schema
    kept = pa.schema([schema.field(column) for column in columns])
    return pa.Table.from_batches(list(lake.batches(name, columns, wanted, version)), kept)


def _time(anchor: int) -> pa.Scalar:
    return pa.scalar(datetime.fromtimestamp(anchor, UTC), TIMESTAMP)
