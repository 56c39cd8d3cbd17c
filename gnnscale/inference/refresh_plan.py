"""Whom a refresh embeds: entities of whose events another number is known than when they were embedded last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from gnnscale.config import Settings
from gnnscale.inference.batch_inference import model_key, weights_digest
from gnnscale.inference.population import read_keys
from gnnscale.inference.refreshed import (
    TABLE,
    Refreshed,
    RefreshState,
    files_by_start,
    read_columns,
    read_refreshed,
    show_time,
)
from gnnscale.lake import Lake, fingerprint
from gnnscale.query import PredictiveQuery
from gnnscale.schema import ConfigError
from gnnscale.store import GraphStore

CHUNK = 1 << 22
"""Edges that are looked at together."""


def count_events(store: GraphStore, table: str, anchor: int, chunk: int = CHUNK) -> NDArray[np.int64]:
    """Events of each node of a table up to an anchor: rows of tables with times that name it, int64 ``[nodes]``.

    Args:
        store: of the graph.
        table: whose nodes.
        anchor: seconds after the graph's origin.
        chunk: edges that are looked at together.
    """
    total = np.zeros(store.node_count(table), np.int64)
    timed = {name for name, span in store.manifest.time_ranges.items() if span}
    links = {figures.link for figures in store.manifest.links}
    for edge_type in store.edges_from(table):
        if not edge_type.reverse or edge_type.link not in links or edge_type.target not in timed:
            continue
        adjacency = store.adjacency(edge_type)
        indptr = np.asarray(adjacency.indptr)
        # Ascending in time within a source, so that most edges of most sources need no look.
        late = [
            at + np.flatnonzero(np.asarray(adjacency.times[at : at + chunk]) > anchor)
            for at in range(0, len(adjacency.times), chunk)
        ]
        total += np.diff(indptr)
        if late:
            sources = np.searchsorted(indptr, np.concatenate(late), side="right") - 1
            total -= np.bincount(sources, minlength=len(total))
    return total


@dataclass(frozen=True, eq=False)
class RefreshPlan:
    """What a run has to do.

    Args:
        query: bound query.
        state: that it leaves.
        last: that it builds on; None where all is embedded.
        reason: why that is so.
        keys: of all entities.
        events: known of each.
        changed: node ids to embed, ascending.
        files: of the last run, by their first node id.
    """

    query: PredictiveQuery
    state: RefreshState
    last: Refreshed | None
    reason: str
    keys: pa.Array
    events: NDArray[np.int64]
    changed: NDArray[np.int64]
    files: dict[int, str]

    def cuts(self) -> list[tuple[int, int]]:
        """Of each file that is to be written, its first node id and the one after its last."""
        size = self.state.partition_rows
        return [
            (start, min(start + size, len(self.events))) for start in np.unique(self.changed // size * size).tolist()
        ]

    def groups(self) -> Iterator[list[tuple[int, int]]]:
        """Files whose changed entities are embedded together: as many as one file holds, at least."""
        group: list[tuple[int, int]] = []
        rows = 0
        for start, stop in self.cuts():
            group.append((start, stop))
            rows += len(self.changed_in(start, stop))
            if rows >= self.state.partition_rows:
                yield group
                group, rows = [], 0
        if group:
            yield group

    def changed_in(self, start: int, stop: int) -> NDArray[np.int64]:
        """Changed entities from a node id up to, not including, another."""
        first, end = np.searchsorted(self.changed, [start, stop])
        return self.changed[first:end]


def plan_refresh(
    settings: Settings,
    lake: Lake,
    store: GraphStore,
    query: PredictiveQuery,
    as_of: int,
    device: torch.device,
    force: bool,
) -> RefreshPlan:
    """What a run has to do; arguments as in :func:`gnnscale.inference.refresh.refresh_vectors`.

    Raises:
        ConfigError: the table is of a later time already.
        LakeError: there is no model.
    """
    name = settings.query.name
    model, weights = model_key(settings, lake, query, device.type), weights_digest(lake, name)
    encoding = _encoding(store)
    keys = read_keys(lake, query.entity.name)
    events = count_events(store, query.entity.name, as_of - store.manifest.origin)
    last = read_refreshed(lake, name)
    if last is not None and as_of < last.as_of and not force:
        raise ConfigError(
            f"{last.table} is of {show_time(last.as_of)}, and can't go back to {show_time(as_of)}; with --force all "
            "entities are embedded as of then"
        )
    reason = "forced" if force else "there was no run before"
    known: _Known | None = None
    if last is not None and not force:
        reason = _why_all(last, model, encoding)
        known = None if reason else _known_rows(lake, last, keys)
        if not reason and known is None:
            reason = "keys or files are others than those of the last run"
    if last is None or known is None:
        graph = store.manifest.to_dict()
        basis = fingerprint({"model": model, "as_of": as_of, "graph": graph, "table": table_version(lake, name)})
        size, count = settings.embedding.partition_rows, len(events)
        state = RefreshState(as_of, 1, basis, model, weights, encoding, size, count)
        return RefreshPlan(query, state, None, reason, keys, events, np.arange(count), {})
    changed = np.flatnonzero(known.events != events)
    size, run = last.partition_rows, last.run + 1
    state = RefreshState(as_of, run, last.basis, model, weights, encoding, size, len(changed))
    return RefreshPlan(query, state, last, "", keys, events, changed, known.files)


@dataclass(frozen=True, eq=False)
class _Known:
    """What the table holds.

    Args:
        files: first node id -> file.
        events: known of each entity, int64 ``[entities]``; -1 of new ones.
    """

    files: dict[int, str]
    events: NDArray[np.int64]


def _why_all(last: Refreshed, model: str, encoding: str) -> str:
    if last.model != model:
        return "the model, its sampling or its device is another than in the last run"
    return "the graph's columns are encoded otherwise than in the last run" if last.encoding != encoding else ""


def _known_rows(lake: Lake, last: Refreshed, keys: pa.Array) -> _Known | None:
    """What the table holds; None where its keys, or the way that it is cut into files, are others.

    Node ids are those of the last run as long as the graph is extended; a graph that was built anew may have others.
    """
    files = files_by_start(lake, last)
    if files is None:
        return None
    known = np.full(len(keys), -1, np.int64)
    for start, file in files.items():
        rows = read_columns(lake, last.table, file, ["entity", "events"])
        stop = start + rows.num_rows
        if start % last.partition_rows or stop > len(keys):
            return None
        if not rows["entity"].combine_chunks().equals(keys.slice(start, rows.num_rows)):
            return None
        known[start:stop] = rows["events"].to_numpy()
    return _Known(files, known)


def _encoding(store: GraphStore) -> str:
    """Digest of how columns are encoded, which an extended graph leaves as it was."""
    features = [[table.name, [asdict(feature) for feature in table.features]] for table in store.manifest.tables]
    text = json.dumps([store.manifest.origin, features], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def table_version(lake: Lake, query: str) -> int:
    """Latest version of the table; -1 before the first."""
    table = TABLE.format(query=query)
    return lake.version(table) if lake.exists(table) else -1
