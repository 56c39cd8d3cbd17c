"""The daily refresh: entities that have new events are embedded, and their rows merged over those of the day before.

A file of the table holds consecutive entities; those that a changed entity is in are written again, one at a time, and
one Delta commit puts them in the place of the old ones. Memory is that of one file, whatever the table holds.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from gnnscale.config import Settings, bind_query
from gnnscale.inference.batch_inference import BatchInference, Partition, model_key, weights_digest
from gnnscale.inference.encode import PartitionEncoder
from gnnscale.inference.population import read_keys
from gnnscale.inference.refreshed import (
    KIND,
    TABLE,
    EntityRows,
    Refreshed,
    RefreshState,
    commit_rows,
    file_cut,
    files_by_start,
    read_columns,
    read_refreshed,
    refreshed_schema,
    show_time,
)
from gnnscale.lake import Lake, PartFiles, fingerprint
from gnnscale.query import PredictiveQuery
from gnnscale.schema import ConfigError
from gnnscale.store import GraphStore

log = logging.getLogger(__name__)

CHUNK = 1 << 22
"""Edges that are looked at together."""


@dataclass(frozen=True)
class Shown:
    """Where progress goes.

    Args:
        begin: called with the number of rows that are to be embedded.
        advance: called with the number of those that are done.
    """

    begin: Callable[[int], None] = lambda rows: None
    advance: Callable[[int], None] = lambda rows: None


@dataclass(frozen=True)
class RefreshSummary:
    """What a run did.

    Args:
        as_of: anchor, epoch seconds.
        since: that of the run before; None where all was embedded.
        reason: why all was embedded; empty where it was not.
        entities: rows of the table.
        encoded: rows that were embedded.
        files, written: files of the table, and those that were written.
        version: of the table.
        seconds: that it took.
    """

    as_of: int
    since: int | None
    reason: str
    entities: int
    encoded: int
    files: int
    written: int
    version: int
    seconds: float

    def in_words(self) -> str:
        """In a few words."""
        text = f"{self.encoded:,} of {self.entities:,} entities as of {show_time(self.as_of)}"
        return f"{text}, {f'all of them: {self.reason}' if self.since is None else f'since {show_time(self.since)}'}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON-serialisable data."""
        return asdict(self)


def refresh_vectors(
    settings: Settings,
    lake: Lake,
    store: GraphStore,
    as_of: int,
    device: torch.device | None = None,
    shown: Shown | None = None,
    force: bool = False,
) -> RefreshSummary:
    """Bring ``refreshed_<query>`` up to a time: node_id, entity (key), anchor_time, events, run and vector.

    An entity is embedded where the number of its events up to the time is another than when it was embedded last, so
    that missed days and events that came late are caught up with. Its vector is of its own anchor time.

    Args:
        settings: as the model was trained with; ``embedding.partition_rows`` entities are a file.
        lake: holds the graph and the model.
        store: of the graph.
        as_of: anchor, epoch seconds.
        device: for the model; default: the CPU.
        shown: where progress goes.
        force: embed all entities.

    Raises:
        ConfigError: the table is of a later time already.
        LakeError: there is no model, it does not fit, or another run has committed meanwhile.
    """
    started, device = time.monotonic(), device or torch.device("cpu")
    query = bind_query(settings, store.manifest)
    plan = _plan(settings, lake, store, query, as_of, device, force)
    changed = plan.changed
    encoded, shown = len(changed), shown or Shown()
    shown.begin(encoded)
    if plan.last is None or encoded or plan.last.as_of != as_of:
        version, written = _write(settings, lake, store, device, plan, shown)
    else:
        version, written = plan.last.version, 0
    since, size = plan.last.as_of if plan.last else None, plan.state.partition_rows
    count = len(plan.events)
    taken = round(time.monotonic() - started, 2)
    summary = RefreshSummary(as_of, since, plan.reason, count, encoded, -(-count // size), written, version, taken)
    log.info("%s: %s", TABLE.format(query=settings.query.name), summary.in_words())
    return summary


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
class _Plan:
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


def _plan(
    settings: Settings,
    lake: Lake,
    store: GraphStore,
    query: PredictiveQuery,
    as_of: int,
    device: torch.device,
    force: bool,
) -> _Plan:
    name = settings.query.name
    model, weights = model_key(settings, lake, query, device.type), weights_digest(lake, name)
    encoding = _encoding(store)
    keys, events = (
        read_keys(lake, query.entity.name),
        count_events(store, query.entity.name, as_of - store.manifest.origin),
    )
    last = read_refreshed(lake, name)
    if last is not None and as_of < last.as_of and not force:
        raise ConfigError(
            f"{last.table} is of {show_time(last.as_of)}, and can't go back to {show_time(as_of)}; with --force all "
            "entities are embedded as of then"
        )
    files, known, reason = {}, None, "forced" if force else "there was no run before"
    if last is not None and not force:
        reason = _why_all(last, model, encoding)
        files, known = {}, None
        if not reason:
            files, known = _known_events(lake, last, keys, len(events))
            reason = "" if known is not None else "keys or files are others than those of the last run"
    if known is None:
        changed, last = np.arange(len(events)), None
        basis = fingerprint(
            {"model": model, "as_of": as_of, "graph": store.manifest.to_dict(), "table": _version(lake, name)}
        )
        state = RefreshState(as_of, 1, basis, model, weights, encoding, settings.embedding.partition_rows, len(changed))
    else:
        assert last is not None
        changed = np.flatnonzero(known != events)
        state = RefreshState(
            as_of, last.run + 1, last.basis, model, weights, encoding, last.partition_rows, len(changed)
        )
    return _Plan(query, state, last, reason, keys, events, changed, files)


def _write(
    settings: Settings,
    lake: Lake,
    store: GraphStore,
    device: torch.device,
    plan: _Plan,
    shown: Shown,
) -> tuple[int, int]:
    """Write the files that changed entities are in, and commit them: version, and files written."""
    table, state, size = TABLE.format(query=settings.query.name), plan.state, plan.state.partition_rows
    inputs = {
        "state": asdict(state),
        "version": plan.last.latest if plan.last else _version(lake, settings.query.name),
        "graph": store.manifest.to_dict(),
        "events": hashlib.sha256(plan.events.tobytes()).hexdigest(),
    }
    parts = PartFiles(lake, table, KIND, settings.query.name, fingerprint(inputs))
    # Whole files that no run has committed go with those of old versions: another run may be at work.
    parts.remove_unfinished(whole=False)
    there, names, replaced = parts.sizes(), [], []
    encoder: PartitionEncoder | None = None
    for start in sorted({int(first) for first in plan.changed // size * size}):
        stop = min(start + size, len(plan.events))
        names.append(file_cut(parts.prefix, start, stop))
        old = plan.files.get(start)
        replaced += [old] if old is not None else []
        if names[-1] not in there:
            encoder = encoder or PartitionEncoder(settings, lake, store, device)
            nodes = plan.changed[(plan.changed >= start) & (plan.changed < stop)]
            rows = _encoded(encoder, plan, start, stop, nodes)
            if old is not None:
                rows = EntityRows.read(lake, table, old).replaced(nodes, rows, stop)
            parts.write(names[-1], rows.to_table(plan.keys), numbers=("vector",))
        shown.advance(int(((plan.changed >= start) & (plan.changed < stop)).sum()))
    sizes = parts.sizes()
    files = {name: sizes[name] for name in names}
    schema = refreshed_schema(plan.keys.type)
    version = commit_rows(parts, schema, files, state, plan.last, replaced)
    return version, len(names)


def _encoded(encoder: PartitionEncoder, plan: _Plan, start: int, stop: int, nodes: NDArray[np.int64]) -> EntityRows:
    state, count = plan.state, len(nodes)
    inference = BatchInference(state.basis, plan.query.text, {"entities": ("vectors", "pairs")}, ())
    rows = encoder.encode(inference, Partition("entities", state.as_of, start, stop), nodes)["vectors"]
    vectors = rows["vector"].combine_chunks().flatten().to_numpy().reshape(count, -1)
    same = np.ones(count, np.int64)
    return EntityRows(int(nodes[0]), state.as_of * same, plan.events[nodes], state.run * same, vectors)


def _why_all(last: Refreshed, model: str, encoding: str) -> str:
    if last.model != model:
        return "the model, its sampling or its device is another than in the last run"
    return "the graph's columns are encoded otherwise than in the last run" if last.encoding != encoding else ""


def _known_events(
    lake: Lake, last: Refreshed, keys: pa.Array, entities: int
) -> tuple[dict[int, str], NDArray[np.int64] | None]:
    """Files of the table, and events that it knows of each entity, -1 of new ones; None where keys or files are others.

    Node ids are those of the last run as long as the graph is extended; a graph that was built anew may have others.
    """
    files = files_by_start(lake, last)
    known = np.full(entities, -1)
    for start, file in (files or {}).items():
        rows = read_columns(lake, last.table, file, ["entity", "events"])
        stop = start + rows.num_rows
        if start % last.partition_rows or stop > entities:
            return {}, None
        if not rows["entity"].combine_chunks().equals(keys.slice(start, rows.num_rows)):
            return {}, None
        known[start:stop] = rows["events"].to_numpy()
    return (files, known) if files is not None else ({}, None)


def _encoding(store: GraphStore) -> str:
    """Digest of how columns are encoded, which an extended graph leaves as it was."""
    features = [[table.name, [asdict(feature) for feature in table.features]] for table in store.manifest.tables]
    text = json.dumps([store.manifest.origin, features], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _version(lake: Lake, query: str) -> int:
    table = TABLE.format(query=query)
    return lake.version(table) if lake.exists(table) else -1
