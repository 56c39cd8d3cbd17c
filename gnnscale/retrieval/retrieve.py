"""The retrieve stage: index, search, merge, and predictions under the tables' own keys."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gnnscale.config import Settings
from gnnscale.inference import asked_nodes, read_keys
from gnnscale.inference.embed import TIMESTAMP
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery
from gnnscale.query.anchors import AnchorPlan
from gnnscale.retrieval.embeddings import read_pairs, read_vectors
from gnnscale.retrieval.index import FlatIndex, Neighbors
from gnnscale.retrieval.merge import search_merged
from gnnscale.schema import Table

log = logging.getLogger(__name__)


def retrieve(
    settings: Settings,
    lake: Lake,
    query: PredictiveQuery,
    plan: AnchorPlan,
    advance: Callable[[int], None] = lambda rows: None,
) -> None:
    """Write ``predictions_<query>`` at the latest anchor and ``holdout_<query>`` at the test anchor.

    Columns: entity and target (keys of their tables), rank (from 1), score, anchor_time. The index of the latest
    anchor is kept under ``_indexes/<query>``.

    Args:
        settings: sections ``query`` and ``retrieval`` count.
        lake: holds embeddings and pairs.
        query: bound query.
        plan: its anchors.
        advance: told of entities that are done.

    Raises:
        LakeError, DataError: embeddings are missing or broken; no table has changed.
    """
    name = settings.query.name
    entity_keys, target_keys = read_keys(lake, query.entity.name), read_keys(lake, query.target.name)
    tables = {}
    for table, anchor in ((f"holdout_{name}", plan.test), (f"predictions_{name}", plan.latest)):
        index = FlatIndex(read_vectors(lake, query.target.name, anchor))
        found = _search_all(settings, lake, query, index, anchor, advance)
        # No answers for entities that are not there, and no targets that are not.
        known_by = anchor if query.arriving_facts is None else None
        absent = ~_alive(lake, query.entity, len(entity_keys), known_by)
        missing = ~_alive(lake, query.target, len(target_keys), known_by)
        found.targets[absent[:, None] | missing[found.targets]] = -1
        if anchor == plan.latest and (wanted := asked_nodes(lake, query, name)) is not None:
            found.targets[np.isin(np.arange(len(found.targets)), wanted, invert=True)] = -1
        tables[table] = ranked_table(found, entity_keys, target_keys, anchor)
        if anchor == plan.latest:
            _save_index(lake, name, index, anchor)
    for table, rows in tables.items():
        lake.write(table, rows, metadata={"query": name})
        log.info("%s: %s rows", table, f"{rows.num_rows:,}")


def _alive(lake: Lake, table: Table, nodes: int, anchor: int | None) -> NDArray[np.bool_]:
    """Which nodes of a table are there at an anchor, bool ``[nodes]``; at any, where there is none.

    A node whose key the table has no longer has no row, and is never there.
    """
    ends = ["end_time"] if table.end_time else []
    rows = lake.read(f"nodes_{table.name}", ["node_id", "time", *ends])
    there = np.ones(rows.num_rows, bool)
    if anchor is not None:
        there &= pc.fill_null(rows["time"], np.iinfo(np.int64).min).to_numpy() <= anchor
        for name in ends:
            there &= pc.fill_null(rows[name], np.iinfo(np.int64).max).to_numpy() > anchor
    alive = np.zeros(nodes, bool)
    alive[rows["node_id"].to_numpy()[there]] = True
    return alive


def ranked_table(found: Neighbors, entity_keys: pa.Array, target_keys: pa.Array, anchor: int) -> pa.Table:
    """Rankings of all entities as rows; absent places (-1) make none."""
    entities, k = found.targets.shape
    present = found.targets.ravel() >= 0
    rows = np.repeat(np.arange(entities), k)[present]
    return pa.table(
        {
            "entity": entity_keys.take(pa.array(rows)),
            "target": target_keys.take(pa.array(found.targets.ravel()[present])),
            "rank": pa.array(np.tile(np.arange(1, k + 1, dtype=np.int32), entities)[present]),
            "score": pa.array(found.scores.ravel()[present]),
            "anchor_time": pa.array([datetime.fromtimestamp(anchor, UTC)] * len(rows), TIMESTAMP),
        }
    )


def _search_all(
    settings: Settings,
    lake: Lake,
    query: PredictiveQuery,
    index: FlatIndex,
    anchor: int,
    advance: Callable[[int], None],
) -> Neighbors:
    entities = read_vectors(lake, query.entity.name, anchor)
    pairs = read_pairs(lake, settings.query.name, anchor)
    parts = []
    for start in range(0, len(entities), settings.retrieval.batch_size):
        rows = np.arange(start, min(len(entities), start + settings.retrieval.batch_size))
        parts.append(search_merged(index, entities[rows], pairs, rows, query.places, settings.retrieval.depth))
        advance(len(rows))
    return Neighbors(np.concatenate([p.targets for p in parts]), np.concatenate([p.scores for p in parts]))


def _save_index(lake: Lake, query: str, index: FlatIndex, anchor: int) -> None:
    content = index.to_bytes()
    lake.write_bytes(f"_indexes/{query}/index.faiss", content)
    lake.write_record(
        f"index_{query}",
        {
            "kind": "flat",
            "metric": "inner product",
            "targets": index.size,
            "channels": index.channels,
            "anchor_time": anchor,
            "sha256": hashlib.sha256(content).hexdigest(),
        },
    )
