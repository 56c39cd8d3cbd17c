"""A graph extended by what came to its sources since, without reading again what it was built from."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import pyarrow as pa
from deltalake.exceptions import DeltaError
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from gnnscale.config import Settings, build_graph_schema, configured_query, declared_relations, plan_query_anchors
from gnnscale.etl.checks.checks import TableFigures, check_match_rate, check_windows
from gnnscale.etl.checks.precedence import check_early_rate, count_early
from gnnscale.etl.checks.thresholds import check_thresholds, match_threshold
from gnnscale.etl.edges.edge_batches import MAX_RUNS, append_run
from gnnscale.etl.edges.edge_readers import scan_frame
from gnnscale.etl.ids.assign_ids import NODE_ID
from gnnscale.etl.ids.key_columns import find_nodes, is_missing, key_form
from gnnscale.etl.ids.key_ids import key_map
from gnnscale.etl.labels.condition_columns import RAW
from gnnscale.etl.nodes.node_figures import count_duplicates, count_isolated_nodes, count_link
from gnnscale.etl.nodes.write_nodes import TableKeys, node_frame, number_keys, table_keys
from gnnscale.etl.relations.derive_relations import from_later_end, write_relations
from gnnscale.etl.sources.graph_sources import GraphGrowth, ReadSource, find_growth, record_graph
from gnnscale.etl.sources.new_rows import NewRows, NotGrownError, read_new_rows
from gnnscale.etl.sources.raw_tables import TIME, RawTable, find_sources
from gnnscale.etl.spark.side_by_side import run_side_by_side
from gnnscale.etl.spark.write_tables import read_table, write_table
from gnnscale.etl.text import open_encoder
from gnnscale.lake import Lake, take_snapshot
from gnnscale.schema import EdgeType, GraphManifest, GraphSchema, LinkManifest, TableManifest

log = logging.getLogger(__name__)


def extend_graph(session: SparkSession, lake: Lake, settings: Settings, max_runs: int = MAX_RUNS) -> GraphManifest:
    """Add what came to the sources since to the graph that the lake holds; the result equals a full build.

    Of the sources only new files are read. Node ids stand, and new rows get ids after them; rows without a key that are
    older than others there are numbered last, too, where a full build numbers by time. Statistics of the columns stay:
    they are of the training period. Rows whose parent came only now are linked to it. Edges of links get a sorted run
    of the new ones. Relations are derived again in full, from all nodes: a new row may change which edges old rows
    make. Figures of the links are counted from one column of the nodes each; duplicates, of tables without a key that
    got rows, from all values that the nodes keep.

    Until the manifest is written, last, it names the versions of the tables that make the graph of before; a later
    extension takes back what one that failed has left behind.

    Args:
        session: Spark.
        lake: holds a graph.
        settings: that it was built by.
        max_runs: sorted runs of an edge table, beyond which it is written again as one.

    Raises:
        NotGrownError: the graph must be built in full; nothing has changed.
        DataError: the new rows are at fault.
    """
    if not lake.is_writable_by_delta:
        raise NotGrownError(f"delta-rs can't change rows in a folder of that name, {lake.uri}")
    options = settings.lake.storage_options
    sources = find_sources(build_graph_schema(settings), options)
    growth = find_growth(lake, settings, {name: take_snapshot(source, options) for name, source in sources.items()})
    if growth.obstacle:
        raise NotGrownError(growth.obstacle)
    manifest = growth.manifest
    assert manifest is not None
    graph = build_graph_schema(settings, {table.name: table.kinds for table in manifest.tables})
    for link in manifest.links:
        graph.add_link(link.table, link.column, link.parent)
    nodes = {t.name: read_table(session, lake, f"nodes_{t.name}", t.version) for t in manifest.tables}
    new = read_new_rows(session, graph, growth, nodes, settings)
    _take_back(lake, manifest)
    extension = _Extension(session, lake, settings, graph, manifest, nodes, new, max_runs)
    try:
        extended = extension.write()
    finally:
        extension.release()
    record_graph(lake, settings, extended, _sources(growth, new))
    return extended


def _take_back(lake: Lake, manifest: GraphManifest) -> None:
    """Set tables back to the versions of the manifest, where a build that failed has written to them since."""
    versions = {f"nodes_{table.name}": table.version for table in manifest.tables}
    for link in manifest.links:
        for edge_type in (EdgeType(link.link, False), EdgeType(link.link, True)):
            versions[edge_type.table_name] = link.edge_version(edge_type)
    for name, version in versions.items():
        opened = lake.open(name)
        if opened.version() != version:
            log.warning("%s is set back to version %d, of the last complete graph", name, version)
            try:
                opened.restore(version)
            except DeltaError as error:
                raise NotGrownError(f"{name} can't be set back to version {version}: {error}") from None


def _sources(growth: GraphGrowth, new: NewRows) -> dict[str, ReadSource]:
    assert growth.before is not None and growth.now is not None
    return {
        name: ReadSource(growth.now[name], source.columns, new.left_out[name]) for name, source in growth.before.items()
    }


@dataclass
class _Extension:
    """One extension under way."""

    session: SparkSession
    lake: Lake
    settings: Settings
    graph: GraphSchema
    before: GraphManifest
    nodes: Mapping[str, DataFrame]
    new: NewRows
    max_runs: int
    held: dict[str, DataFrame] = field(default_factory=dict)

    def write(self) -> GraphManifest:
        """Write ids, nodes, edges and relations."""
        keys = {
            table.name: self._keys(table) for table in self.before.tables if self.graph.table(table.name).primary_key
        }
        resolved = {link.link.name: self._resolve(link, keys) for link in self.before.links}
        run_side_by_side([partial(self._append_nodes, table, keys) for table in self.new.raw])
        extended = {name: read_table(self.session, self.lake, f"nodes_{name}") for name in self.nodes}
        rows = {t.name: t.rows - t.deleted + self._came(t.name) for t in self.before.tables}
        links = run_side_by_side(
            [partial(self._link, k, resolved[k.link.name], extended, rows) for k in self.before.links]
        )
        tables = run_side_by_side([partial(self._table, t, keys, extended[t.name], rows) for t in self.before.tables])
        isolated = {
            table.name: count_isolated_nodes(extended, table.name, links) if table.name in keys else None
            for table in tables
        }
        tables = [replace(table, isolated=isolated[table.name]) for table in tables]
        self._check(tables, links, extended, rows)
        timed = {table.name for table in tables if table.time_range}
        relations = declared_relations(self.settings.relations)
        derived = write_relations(self.session, self.lake, self.graph, relations, timed, self.before.origin)
        return replace(self.before, tables=tuple(tables), links=tuple(links), relations=derived)

    def release(self) -> None:
        """Let go of what is cached."""
        for frame in (*self.held.values(), *(raw.frame for raw in self.new.raw.values())):
            frame.unpersist()

    @cached_property
    def cache(self) -> str | None:
        """Folder on a local disk for arrays by which keys are found."""
        return self.lake.cache_folder(self.settings.lake.cache)

    def _came(self, table: str) -> int:
        return self.new.figures[table].rows if table in self.new.figures else 0

    def _keys(self, table: TableManifest) -> TableKeys:
        name, key = table.name, self.graph.table(table.name).primary_key or ""
        physical = self.nodes[name].schema["key"].dataType
        live = self.nodes[name].select(NODE_ID)
        if name in self.new.raw:
            frame = self.new.raw[name].frame
            ids = number_keys(self.lake, name, frame, key, self._came(name), self.cache)
            live = live.unionByName(
                frame.select(find_nodes(ids, key_form(F.col(key), frame.schema[key].dataType, physical)).alias(NODE_ID))
            )
        else:
            ids = key_map(self.lake, name, self.cache)
        return table_keys(self.lake, name, ids, physical, live, table.rows - table.deleted + self._came(name))

    def _resolve(self, link: LinkManifest, keys: Mapping[str, TableKeys]) -> pa.Table | None:
        """Link rows that are there to parents that came only now.

        Returns:
            Columns node_id and target (node ids, int64); None where there are none.
        """
        if not link.dangling or link.parent not in self.new.raw:
            return None
        rows, end = self.nodes[link.table], f"fk_{link.column}"
        value = F.col(f"{RAW}{link.column}")
        found = keys[link.parent].find(value, rows.schema[f"{RAW}{link.column}"].dataType)
        dangling = rows.where(F.col(end).isNull() & value.isNotNull()).select(NODE_ID, found.alias("target"))
        pairs = dangling.where(F.col("target").isNotNull()).toArrow()
        if not pairs.num_rows:
            return None
        merge = self.lake.open(f"nodes_{link.table}").merge(
            pairs, f"old.{NODE_ID} = new.{NODE_ID}", source_alias="new", target_alias="old"
        )
        merge.when_matched_update({f'"{end}"': "new.target"}).execute()
        log.info("%s: %s rows found their %s", link.link.name, f"{pairs.num_rows:,}", link.parent)
        return pairs

    def _append_nodes(self, table: str, keys: Mapping[str, TableKeys]) -> None:
        before, rows = self.before.table(table), self._came(table)
        encoder = open_encoder(self.settings.graph.text)
        frame = node_frame(self.new.raw[table], self.graph, before.features, keys, rows, encoder, before.rows)
        frame = frame.select(*self.nodes[table].columns)
        # Edges are made from the same rows.
        self.held[table] = frame.persist(StorageLevel.DISK_ONLY)
        write_table(self.lake, f"nodes_{table}", self.held[table], mode="append")
        log.info("nodes_%s: %s more rows", table, f"{self._came(table):,}")

    def _link(
        self, link: LinkManifest, resolved: pa.Table | None, extended: Mapping[str, DataFrame], rows: Mapping[str, int]
    ) -> LinkManifest:
        """Write the edges that came to a link, and count it again."""
        if resolved is None and not {link.table, link.parent} & self.new.raw.keys():
            return link
        link = self._write_edges(link, resolved, extended[link.parent])
        nulls = link.nulls
        if link.table in self.new.raw:
            frame = self.new.raw[link.table].frame
            nulls += frame.where(is_missing(F.col(link.column), frame.schema[link.column].dataType)).count()
        if link.early is not None:
            own = extended[link.table].select(F.col(f"fk_{link.column}").alias("key"), "time")
            parents = extended[link.parent].select(F.col(NODE_ID).alias("key"), F.col("time").alias("came"))
            link = replace(link, early=count_early(own, parents))
        return count_link(extended[link.table], link, rows[link.table], rows[link.parent], nulls)

    def _write_edges(self, link: LinkManifest, resolved: pa.Table | None, parents: DataFrame) -> LinkManifest:
        parts = []
        if link.table in self.held:
            end = F.col(f"fk_{link.column}")
            own = self.held[link.table].where(end.isNotNull())
            parts.append(own.select(F.col(NODE_ID).alias("source"), end.alias("target"), "time"))
        if resolved is not None:
            pairs = self.session.createDataFrame(resolved)
            times = self.nodes[link.table].select(NODE_ID, "time")
            parts.append(pairs.join(times, NODE_ID).select(F.col(NODE_ID).alias("source"), "target", "time"))
        if not parts:
            return link
        edges = parts[0] if len(parts) == 1 else parts[0].unionByName(parts[1])
        held = from_later_end(edges, None, parents).select("source", "target", "time").persist(StorageLevel.DISK_ONLY)
        try:
            count = held.count()
            if not count:
                return link
            scan, origin = scan_frame(held, count, self.before.origin), self.before.origin
            forward, backward = (
                append_run(
                    self.session,
                    self.lake,
                    EdgeType(link.link, reverse).table_name,
                    scan,
                    origin,
                    reverse,
                    self.max_runs,
                )
                for reverse in (False, True)
            )
        finally:
            held.unpersist()
        log.info("edges %s.%s -> %s: %s more", link.table, link.column, link.parent, f"{count:,}")
        return replace(link, version=forward, reverse_version=backward)

    def _table(
        self, before: TableManifest, keys: Mapping[str, TableKeys], nodes: DataFrame, rows: Mapping[str, int]
    ) -> TableManifest:
        name = before.name
        table = replace(before, version=self.lake.version(f"nodes_{name}"))
        if name in keys:
            table = replace(table, rows=keys[name].count, deleted=len(keys[name].deleted))
        if name not in self.new.raw:
            return table
        new = self.new.figures[name]
        spans = [span for span in (before.time_range, new.time_range) if span]
        span = (min(first for first, _ in spans), max(last for _, last in spans)) if spans else None
        outside = None if new.out_of_range is None else (before.out_of_range or 0) + new.out_of_range
        table = replace(table, time_range=span, out_of_range=outside)
        if name not in keys:
            table = replace(table, rows=rows[name], duplicates=count_duplicates(nodes, table, rows[name]))
        return table

    def _check(
        self,
        tables: list[TableManifest],
        links: list[LinkManifest],
        nodes: Mapping[str, DataFrame],
        rows: Mapping[str, int],
    ) -> None:
        """See that the extended graph keeps to what a full build asks of the rows."""
        rate, setting = match_threshold(self.settings.graph)
        for link in links:
            parent = self.graph.table(link.parent)
            check_match_rate(link, parent.primary_key or "", rate, setting)
            check_early_rate(link, parent, self.settings.graph.checks.max_early_rate)
        figures = {t.name: TableFigures(rows[t.name], t.time_range, t.duplicates or 0, t.out_of_range) for t in tables}
        check_thresholds(self.settings.graph.checks, figures, {t.name: t.isolated for t in tables}, links)
        query = configured_query(self.settings, self.graph)
        plan = plan_query_anchors(self.settings, query, {t.name: t.time_range for t in tables}, rows)
        for name in query.timed_event_tables:
            check_windows(RawTable(self.graph.table(name), nodes[name].select(F.col("time").alias(TIME))), plan)
