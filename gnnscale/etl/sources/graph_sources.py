"""What a graph was built from: the record by which a later run tells whether its sources have only grown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import types as T

import gnnscale
from gnnscale.config import GRAPH_SOURCES, Settings
from gnnscale.etl.sources.raw_tables import END, TIME, RawTable, read_source
from gnnscale.lake import (
    Lake,
    SourceFormat,
    SourceGrowth,
    SourceSnapshot,
    fingerprint,
    from_portable,
    growth_since,
    snapshot_rows,
    to_portable,
)
from gnnscale.schema import MANIFEST_NAME, GraphManifest


@dataclass(frozen=True)
class ReadSource:
    """What was read of one source.

    Args:
        snapshot: the source as it was read.
        columns: of its rows, the columns that the build adds left out.
        left_out: rows that took no part, because the parent that they take their time from is not there.
    """

    snapshot: SourceSnapshot
    columns: T.StructType
    left_out: int = 0


@dataclass(frozen=True)
class GraphGrowth:
    """What came to the sources of a graph since it was built.

    Args:
        obstacle: why the graph can't be extended by it; empty where it can.
        manifest: of the graph; None where the lake has none.
        before: table -> what of its source is in the graph.
        files: table -> full paths of the new files, of every table.
        now: table -> its source now.
    """

    obstacle: str
    manifest: GraphManifest | None = None
    before: Mapping[str, ReadSource] | None = None
    files: Mapping[str, tuple[str, ...]] | None = None
    now: Mapping[str, SourceSnapshot] | None = None


def read_sources(
    raw: Mapping[str, RawTable], snapshots: Mapping[str, SourceSnapshot], left_out: Mapping[str, int]
) -> dict[str, ReadSource]:
    """What a full build has read of every table."""
    found = {}
    for name, table in raw.items():
        columns = T.StructType([field for field in table.frame.schema if field.name not in (TIME, END)])
        found[name] = ReadSource(snapshots[name], columns, left_out[name])
    return found


def count_left_out(
    session: SparkSession, raw: RawTable, snapshot: SourceSnapshot, storage_options: Mapping[str, str], rows: int
) -> int:
    """Rows of a source that are not among the ``rows`` of the graph; file footers tell, so no rows are read."""
    if not raw.table.time_from or snapshot.source.format in (SourceFormat.CSV, SourceFormat.JSON):
        return 0
    known = snapshot_rows(snapshot.source, storage_options, snapshot).rows
    if known is None:
        known = read_source(session, raw.table.name, snapshot.source, dict(storage_options), snapshot).count()
    return known - rows


def record_graph(lake: Lake, settings: Settings, manifest: GraphManifest, sources: Mapping[str, ReadSource]) -> None:
    """Make a graph the one that the lake holds, and keep what it was made from.

    The manifest is written last: until then readers see the graph of before, at the versions of its tables. The record
    of the sources names the manifest that it belongs to, so that one without the other counts as none.
    """
    content = manifest.to_dict()
    tables = {
        name: {**s.snapshot.to_dict(), "columns": s.columns.jsonValue(), "left_out": s.left_out}
        for name, s in sources.items()
    }
    record = {"graph": fingerprint(content), "configuration": _configuration(settings, lake), "tables": tables}
    lake.write_record(GRAPH_SOURCES, to_portable(lake, record))
    lake.write_record(MANIFEST_NAME, content)


def find_growth(lake: Lake, settings: Settings, now: Mapping[str, SourceSnapshot]) -> GraphGrowth:
    """Whether the sources have only grown since the lake's graph was built from them by the same configuration.

    Args:
        lake: may hold a graph.
        settings: sections ``tables``, ``graph`` and ``relations`` count.
        now: table -> its source.
    """
    record, built = lake.read_record(GRAPH_SOURCES), lake.read_record(MANIFEST_NAME)
    if built is None:
        return GraphGrowth("the lake holds no graph")
    if record is None or record["graph"] != fingerprint(built):
        return GraphGrowth("what the lake's graph was built from is not known")
    record = from_portable(lake, record)
    if record["configuration"] != _configuration(settings, lake):
        return GraphGrowth("the lake's graph was built by another configuration or version")
    if derived := [name for name, table in settings.tables.items() if table.derived]:
        return GraphGrowth(f"table '{derived[0]}' is derived from all rows of another")
    before = {name: _kept_source(table) for name, table in record["tables"].items()}
    found: dict[str, SourceGrowth] = {}
    for name, snapshot in now.items():
        found[name] = growth_since(before[name].snapshot, snapshot, settings.lake.storage_options)
        if found[name].obstacle:
            return GraphGrowth(f"table '{name}': {found[name].obstacle}")
    if not any(growth.files for growth in found.values()):
        return GraphGrowth("its sources hold nothing new")
    files = {name: growth.files for name, growth in found.items()}
    return GraphGrowth("", GraphManifest.from_dict(built), before, files, now)


def _kept_source(data: Mapping[str, Any]) -> ReadSource:
    return ReadSource(SourceSnapshot.from_dict(data), T.StructType.fromJson(data["columns"]), data["left_out"])


def _configuration(settings: Settings, lake: Lake) -> str:
    return fingerprint(
        to_portable(
            lake,
            {
                "version": gnnscale.__version__,
                "tables": {name: table.model_dump(mode="json") for name, table in settings.tables.items()},
                "graph": settings.graph.model_dump(mode="json"),
                "relations": {name: relation.model_dump(mode="json") for name, relation in settings.relations.items()},
            },
        )
    )
