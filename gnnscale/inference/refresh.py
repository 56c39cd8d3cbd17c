"""The daily refresh: entities that have new events are embedded, and their rows merged over those of the day before.

A file of the table holds consecutive entities; those that a changed entity is in are written again, two at a time,
and one Delta commit puts them in the place of the old ones. Memory is that of a few files, whatever the table holds.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from gnnscale.arrays import prefetched
from gnnscale.config import Settings, bind_query
from gnnscale.inference.batch_inference import BatchInference, Partition
from gnnscale.inference.encode import PartitionEncoder
from gnnscale.inference.refresh_plan import RefreshPlan, plan_refresh, table_version
from gnnscale.inference.refreshed import (
    KIND,
    NUMBERS,
    TABLE,
    commit_rows,
    file_cut,
    merged_rows,
    new_rows,
    refreshed_schema,
    run_file,
    show_time,
)
from gnnscale.lake import Lake, PartFiles, fingerprint
from gnnscale.store import GraphStore

log = logging.getLogger(__name__)


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
    """Bring ``refreshed_<query>`` up to a time: node_id, entity (key), anchor_time, events, run, vector, and
    the targets of its own neighborhood with their scores.

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
    plan = plan_refresh(settings, lake, store, query, as_of, device, force)
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


def _write(
    settings: Settings,
    lake: Lake,
    store: GraphStore,
    device: torch.device,
    plan: RefreshPlan,
    shown: Shown,
) -> tuple[int, int]:
    """Write the files that changed entities are in, and commit them: version, and files written."""
    table, state, size = TABLE.format(query=settings.query.name), plan.state, plan.state.partition_rows
    inputs = {
        "state": asdict(state),
        "version": plan.last.latest if plan.last else table_version(lake, settings.query.name),
        "graph": store.manifest.to_dict(),
        "events": hashlib.sha256(plan.events.tobytes()).hexdigest(),
    }
    parts = PartFiles(lake, table, KIND, settings.query.name, fingerprint(inputs))
    # Whole files that no run has committed go with those of old versions: another run may be at work.
    parts.remove_unfinished(whole=False)
    there, cuts = parts.sizes(), plan.cuts()
    names = {start: file_cut(parts.prefix, start, stop) for start, stop in cuts}
    # Who publishes what a run has embedded need not look for it among all rows then.
    listed = plan.last is not None and 0 < len(plan.changed) <= size
    embedded: list[pa.Table] = []

    def write(start: int, stop: int, rows: pa.Table) -> int:
        old = plan.files.get(start)
        merged = rows if old is None else merged_rows(lake, table, old, rows, stop)
        parts.write(names[start], merged, NUMBERS)
        return rows.num_rows

    def jobs() -> Iterator[Callable[[], int]]:
        encoder: PartitionEncoder | None = None
        for group in plan.groups():
            nodes = plan.changed_in(group[0][0], group[-1][1])
            lacking = [cut for cut in group if names[cut[0]] not in there]
            if not lacking and not listed:
                yield partial(len, nodes)
                continue
            encoder = encoder or PartitionEncoder(settings, lake, store, device)
            rows = _encoded(encoder, plan, nodes)
            if listed:
                embedded.append(rows)
            for start, stop in group:
                first, end = np.searchsorted(nodes, [start, stop]).tolist()
                own = rows.slice(first, end - first)
                yield partial(write, start, stop, own) if (start, stop) in lacking else partial(len, own)

    # Two files are merged and written at once, beside each other or while entities of the next ones are embedded.
    for count in prefetched(jobs(), 2, threads=2):
        shown.advance(count)
    if listed:
        parts.write(run_file(parts.prefix), pa.concat_tables(embedded), NUMBERS)
    sizes = parts.sizes()
    files = {name: sizes[name] for name in names.values()}
    replaced = [plan.files[start] for start in names if start in plan.files]
    version = commit_rows(parts, refreshed_schema(plan.keys.type), files, state, plan.last, replaced)
    return version, len(names)


def _encoded(encoder: PartitionEncoder, plan: RefreshPlan, nodes: NDArray[np.int64]) -> pa.Table:
    inference = BatchInference(plan.state.basis, plan.query.text, {"entities": ("vectors", "pairs")}, ())
    partition = Partition("entities", plan.state.as_of, int(nodes[0]), int(nodes[-1]) + 1)
    encoded = encoder.encode(inference, partition, nodes)
    return new_rows(encoded, plan.keys, plan.events, plan.state.run)
