"""What a query's stages have left in the lake, published as one version."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from gnnscale.config import Settings
from gnnscale.inference import Refreshed, read_keys, read_refreshed
from gnnscale.lake import Lake, fingerprint
from gnnscale.publish.key_values import connect
from gnnscale.publish.keys import type_text
from gnnscale.publish.lake_rows import (
    PAIRS_LAYOUT,
    answer_layout,
    answer_rows,
    column_type,
    count_channels,
    embedding_rows,
    has_pairs,
    last_anchor,
    pair_rows,
    refreshed_pairs,
    refreshed_rows,
)
from gnnscale.publish.publication import NewTable, Publication
from gnnscale.publish.versions import PAIRS, Namespace, State
from gnnscale.query import PredictiveQuery
from gnnscale.schema import ConfigError, LakeError, StoreError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Published:
    """What a run did.

    Args:
        version: that readers see now.
        written: table -> rows that were written to it; those that are as they were are left out.
        rows: table -> rows that it has.
        published: when readers got the version, epoch seconds.
        as_of: anchor of the entities' vectors, epoch seconds; None without.
    """

    version: int
    written: dict[str, int]
    rows: dict[str, int]
    published: float
    as_of: int | None

    @property
    def lag(self) -> float | None:
        """Seconds from the anchor of the entities' vectors until readers had them."""
        return None if self.as_of is None else round(self.published - self.as_of, 1)

    def in_words(self) -> str:
        """In a few words."""
        if not self.written:
            return f"version {self.version} has what the lake has"
        parts = [f"{count:,} of {self.rows[name]:,} rows of {name}" for name, count in self.written.items()]
        late = "" if self.lag is None else f", {_duration(self.lag)} after their anchor"
        return f"version {self.version}: {', '.join(parts)}{late}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON-serialisable data."""
        return {**asdict(self), "lag_seconds": self.lag}


def _duration(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:,.1f} hours" if hours < 72 else f"{hours / 24:,.0f} days"


@dataclass(frozen=True)
class LakeTable:
    """A table of the store as the lake has it.

    Args:
        new: what the store's version says of it.
        rows: all of its rows.
        changes: rows that were written after a run of the refresh; None where no such runs write the table.
    """

    new: NewTable
    rows: Callable[[], Iterator[tuple[str, bytes]]]
    changes: Callable[[int], Iterator[tuple[str, bytes]]] | None = None


def store_uri(settings: Settings, lake: Lake) -> str:
    """Where a configuration publishes to.

    Raises:
        ConfigError: the lake is no folder, and no store is named.
    """
    if settings.publish.store is not None:
        return settings.publish.store
    if not lake.local:
        raise ConfigError(f"lake {lake.uri} is no folder, so that a store is to be named: set publish.store")
    return f"{lake.uri}/_serving/store.sqlite"


def publish_query(
    settings: Settings,
    lake: Lake,
    query: PredictiveQuery,
    advance: Callable[[int], None] = lambda rows: None,
    force: bool = False,
) -> Published:
    """Publish predictions and, of rankings, vectors of targets and entities; what the store has already stays there.

    Args:
        settings: sections ``query`` and ``publish`` count.
        lake: holds the tables.
        query: bound query.
        advance: called with the number of rows that are written.
        force: write what the store has already, too.

    Raises:
        LakeError: the lake has nothing to publish.
        StoreError: the store can't be reached, or another run publishes the query to it.
    """
    with connect(store_uri(settings, lake), make=True) as values:
        tables = lake_tables(settings, lake, query)
        publication = Publication(values, settings.query.name, settings.publish.batch_rows)
        written = {}
        for name, table in tables.items():
            count = _publish_table(publication, name, table, advance, force)
            if count is not None:
                written[name] = count
        gone = sorted(set(publication.state.tables) - set(tables))
        for name in gone:
            publication.remove_table(name)
        state = publication.switch() if written or gone else publication.state
    entities = query.entity_embeddings if query.task_type.predicts_links else None
    source = state.tables[entities].source if entities in state.tables else {}
    rows = {name: table.rows for name, table in state.tables.items()}
    published = Published(state.version, written, rows, state.published, source.get("as_of", source.get("anchor")))
    log.info("%s: %s", settings.query.name, published.in_words())
    return published


def is_published(settings: Settings, lake: Lake, query: PredictiveQuery) -> bool:
    """Whether the store's current version has what the lake has."""
    try:
        with connect(store_uri(settings, lake)) as values:
            state = State.from_bytes(values.read([Namespace(settings.query.name).state])[0])
    except StoreError:
        return False
    tables = lake_tables(settings, lake, query)
    return state.tables.keys() == tables.keys() and all(
        state.tables[name].source == table.new.source for name, table in tables.items()
    )


def lake_tables(settings: Settings, lake: Lake, query: PredictiveQuery) -> dict[str, LakeTable]:
    """Tables of the store, as the lake has them now.

    Raises:
        LakeError: there is none.
    """
    name = settings.query.name
    found: dict[str, LakeTable] = {}
    if query.task_type.predicts_links:
        found |= _vectors(settings, lake, query)
    predictions = f"predictions_{name}"
    if lake.exists(predictions):
        version = lake.version(predictions)
        schema = lake.open(predictions, version).to_pyarrow_dataset().schema
        source = {"table": predictions, "version": version}
        new = NewTable(type_text(schema.field("entity").type), answer_layout(schema), source)
        found["predictions"] = LakeTable(new, lambda: answer_rows(lake, predictions, version))
    if not found:
        raise LakeError(f"lake {lake.uri} holds neither predictions nor embeddings of query '{name}' to publish")
    return found


def _publish_table(
    publication: Publication, name: str, table: LakeTable, advance: Callable[[int], None], force: bool
) -> int | None:
    """Rows that were written; None where the store has them."""
    there, new = publication.state.tables.get(name), table.new
    if there is not None and there.source == new.source and not force:
        return None
    run = None if there is None or force else _run_before(there.source, new.source)
    if there is not None and run is not None and table.changes is not None and there.layout == new.layout:
        return publication.write_changes(name, new.source, _counted(table.changes(run), advance))
    return publication.write_table(name, new, _counted(table.rows(), advance))


def _run_before(there: dict[str, Any], new: dict[str, Any]) -> int | None:
    """The refresh's run whose rows the store has, where later ones were built on it."""
    same = all(there.get(name) == new.get(name) for name in ("table", "basis", "model"))
    return there["run"] if same and "run" in there and there["run"] <= new["run"] else None


def _embeddings(settings: Settings, lake: Lake, name: str, table: str, side: str) -> LakeTable:
    version = lake.version(name)
    stamp, anchor = next(iter(lake.open(name, version).history(1))), last_anchor(lake, name, version)
    source = {
        "table": name,
        "version": version,
        "anchor": anchor,
        "model": stamp.get("weights", stamp.get("sweep", "")),
    }
    layout = _layout(settings, lake, name, version, side)
    new = NewTable(type_text(column_type(lake, f"ids_{table}", "key")), layout, source)
    return LakeTable(new, lambda: embedding_rows(lake, name, version, read_keys(lake, table), anchor))


def _vectors(settings: Settings, lake: Lake, query: PredictiveQuery) -> dict[str, LakeTable]:
    """Vectors of targets, and of entities: those of the last refresh, where they can be compared with the targets'.

    Beside them are scores of pairs, where the network gives any.
    """
    entities, targets, found = query.entity_embeddings, query.target.name, {}
    sides = (targets, targets, "targets"), (entities, query.entity.name, "entities")
    for called, table, side in sides:
        if lake.exists(name := f"embeddings_{called}"):
            found[called] = _embeddings(settings, lake, name, table, side)
    last, other = read_refreshed(lake, settings.query.name), found.get(targets)
    if last is not None and (entities not in found or other is None or other.new.source["model"] == last.weights):
        found |= _refreshed(settings, lake, query, last)
    elif entities in found:
        if last is not None:
            log.warning(
                "vectors of the last refresh are of another model than embeddings_%s: those of the embed stage are "
                "published until it has run again",
                targets,
            )
        found |= _pairs(settings, lake, query, found[entities].new)
    return found


def _pairs(settings: Settings, lake: Lake, query: PredictiveQuery, vectors: NewTable) -> dict[str, LakeTable]:
    """Pairs of the embed stage, beside the entities' vectors."""
    name = f"pairs_{settings.query.name}"
    if not lake.exists(name) or not has_pairs(lake, name, version := lake.version(name)):
        return {}
    source = {**vectors.source, "table": name, "version": version}

    def rows() -> Iterator[tuple[str, bytes]]:
        entities, targets = (read_keys(lake, table.name) for table in (query.entity, query.target))
        return pair_rows(lake, name, version, entities, targets, source["anchor"])

    return {PAIRS: LakeTable(NewTable(vectors.key_type, dict(PAIRS_LAYOUT), source), rows)}


def _refreshed(settings: Settings, lake: Lake, query: PredictiveQuery, last: Refreshed) -> dict[str, LakeTable]:
    """Vectors of the last refresh, and its pairs."""
    table, version, name = last.table, last.version, settings.query.name
    names = ("run", "basis", "as_of")
    source = {"table": table, "version": version, "model": last.weights, **{n: getattr(last, n) for n in names}}
    key_type = type_text(column_type(lake, f"ids_{query.entity.name}", "key"))
    vectors = NewTable(key_type, _layout(settings, lake, table, version, "entities"), source)
    found = {
        query.entity_embeddings: LakeTable(
            vectors,
            lambda: refreshed_rows(lake, last, name, 0),
            lambda after: refreshed_rows(lake, last, name, after),
        )
    }
    if has_pairs(lake, table, version):

        def pairs(after: int) -> Iterator[tuple[str, bytes]]:
            return refreshed_pairs(lake, last, name, read_keys(lake, query.target.name), after)

        found[PAIRS] = LakeTable(NewTable(key_type, dict(PAIRS_LAYOUT), source), lambda: pairs(0), pairs)
    return found


def _layout(settings: Settings, lake: Lake, table: str, version: int, side: str) -> dict[str, Any]:
    channels = count_channels(lake, table, version)
    return {"kind": "vectors", "channels": channels, "side": side, "metric": settings.retrieval.index.metric}


def _counted(rows: Iterable[tuple[str, bytes]], advance: Callable[[int], None]) -> Iterator[tuple[str, bytes]]:
    waiting = 0
    for row in rows:
        yield row
        waiting += 1
        if waiting == 1000:
            advance(waiting)
            waiting = 0
    advance(waiting)


def source_fingerprint(settings: Settings, lake: Lake, query: PredictiveQuery) -> str:
    """Of what would be published."""
    return fingerprint({name: table.new.source for name, table in lake_tables(settings, lake, query).items()})
