"""The shard stage: labelled examples to sampled subgraphs, in one Delta table."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from gnnscale.etl.ids.node_column import NodeColumn
from gnnscale.etl.spark.connect import task_slots
from gnnscale.etl.spark.delta_source import read_delta
from gnnscale.etl.subgraph_shards.exchange import (
    SEED_ROWS,
    Hop,
    HopSampler,
    Places,
    SeedDealer,
    found_channel,
    frontier_channel,
)
from gnnscale.etl.subgraph_shards.node_features import CopiedFeatures
from gnnscale.etl.subgraph_shards.row_blocks import BLOCKS
from gnnscale.etl.subgraph_shards.shard_files import (
    FILES,
    MARKER,
    SEEDS,
    Copied,
    ShardWriter,
    example_bytes,
    path_name,
    shard_schema,
)
from gnnscale.etl.subgraph_shards.shard_seeds import Examples
from gnnscale.etl.subgraph_shards.tiles import TILE_EDGES, Tiles
from gnnscale.lake import Lake, WrittenFile, commit_files, remove_strays
from gnnscale.sampling import Fanouts, Path, Rule, hop_key, plan_paths
from gnnscale.schema import DataError, EdgeType, GraphManifest, TableManifest

log = logging.getLogger(__name__)

LEAST_ENTRIES = 1 << 18
"""Fewer entries than this are not worth loading a tile a second time for."""

NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class ShardPlan:
    """What to sample, and how much goes into a file.

    Args:
        query: name of the query whose labels are the examples.
        table: that seeds are nodes of.
        fanouts: as :class:`gnnscale.sampling.NeighborSampler` takes them.
        rule: strategy and cap.
        seed: of the run.
        epoch: part of the key.
        shard_bytes: size of a file's arrays, before compression.
        tile_edges: edges that a task loads.
        place_entries: frontier entries that a tile may get before a second task loads it too.
        cache: folder on a local disk, for arrays that the tasks of a host share.
        features: whether the encoded columns of every node are copied in.
        hidden_tables: that no path may enter.
        hidden_columns: (table, foreign key) that no path may follow.
    """

    query: str
    table: str
    fanouts: Fanouts
    rule: Rule = field(default_factory=Rule)
    seed: int = 0
    epoch: int = 0
    shard_bytes: int = 128 << 20
    tile_edges: int = TILE_EDGES
    place_entries: int = LEAST_ENTRIES
    cache: str | None = None
    features: bool = False
    hidden_tables: frozenset[str] = frozenset()
    hidden_columns: frozenset[tuple[str, str]] = frozenset()

    def sees(self, path: Path) -> bool:
        """Whether the path stays clear of what is hidden."""
        return not any(
            e.target in self.hidden_tables or (e.link.table, e.link.column) in self.hidden_columns for e in path
        )


def build_shards(session: SparkSession, lake: Lake, manifest: GraphManifest, plan: ShardPlan) -> int:
    """Sample the neighborhood of every example and commit ``shards_<query>``.

    A shard holds, in the order of the labels: the labels' own columns, and for each path of edge types
    ``<path>__nodes`` and ``<path>__times``, int32 arrays of one length, -1 and ``ALWAYS`` where a neighbor is absent.
    With ``features``, ``<path>__num``, ``__cat``, ``__lists`` and ``__vec`` hold the nodes' encoded columns, and
    ``seeds__num`` and so on those of the seeds; lists of codes are as long as the longest of their table, with zeros
    behind. Neighbors are what :class:`gnnscale.sampling.NeighborSampler` gives for the same seed, anchor, epoch and
    graph.

    Returns:
        Examples written.

    Raises:
        ConfigError: the fan-outs don't fit the graph.
        DataError: there are no examples.
    """
    paths = plan_paths(manifest, plan.table, plan.fanouts)
    plan.rule.check_fanouts(paths)
    paths = {path: fanout for path, fanout in paths.items() if plan.sees(path)}
    examples = Examples.of_table(lake, f"labels_{plan.query}", manifest.origin)
    if not len(examples):
        raise DataError(f"labels_{plan.query} has no examples to sample around")
    tasks = task_slots(session)
    hops = plan_hops(lake, manifest, plan, paths, len(examples))
    features: Copied = ()
    if plan.features:
        tables = [(SEEDS, plan.table)] + [(path_name(hop.path), hop.path[-1].target) for hop in hops]
        longest = {table: _longest_list(session, lake, manifest.table(table)) for table in {t for _, t in tables}}
        features = tuple((n, CopiedFeatures(lake, manifest, t, plan.cache, longest[t])) for n, t in tables)
    width = example_bytes(hops, features)
    shard_rows = max(1, min(plan.shard_bytes // max(1, width), -(-len(examples) // tasks)))
    shards = -(-len(examples) // shard_rows)
    log.info("sampling around %s examples, %d bytes each, into %d shards", f"{len(examples):,}", width, shards)
    held: list[DataFrame] = []
    try:
        found = _exchange(session, examples, hops, shard_rows, held)
        markers = session.range(shards).select(
            F.lit(MARKER).alias("channel"),
            F.col("id").cast("int").alias("place"),
            F.lit(0).cast("long").alias("rows"),
            F.lit(b"").alias("block"),
        )
        for frame in found:
            markers = markers.unionByName(frame)
        files = _write(lake, plan, markers.repartitionById(shards, "place"), examples, hops, shard_rows, features)
    finally:
        for frame in held:
            frame.unpersist()
    table = f"shards_{plan.query}"
    commit_files(
        lake.table_uri(table), shard_schema(examples, hops, features), files, "overwrite", lake.storage_options
    )
    lake.write_record(table, _record(plan, hops))
    return sum(file.rows for file in files)


def _longest_list(session: SparkSession, lake: Lake, table: TableManifest) -> int:
    """Codes of the longest list of a table's multicategorical columns, and at least one; 0 where it has none."""
    if not table.multicategorical:
        return 0
    nodes = read_delta(session, lake.table_uri(f"nodes_{table.name}"), lake.storage_options)
    sizes = [F.max(F.size(feature.encoded)) for feature in table.multicategorical]
    (found,) = nodes.agg(*sizes).collect()
    return max(1, *(int(size or 0) for size in found))


def plan_hops(
    lake: Lake, manifest: GraphManifest, plan: ShardPlan, paths: Mapping[Path, int], examples: int
) -> tuple[Hop, ...]:
    """Each path as tasks sample it, with its frontier cut so that no place gets much more than others."""
    tiles: dict[EdgeType, Tiles] = {}
    for edge_type in {edge_type for path in paths for edge_type in path}:
        tiles[edge_type] = Tiles.of(lake, manifest, edge_type, plan.tile_edges)
    order = list(paths)
    hops: list[Hop] = []
    for path in order:
        width = int(np.prod([paths[path[:depth]] for depth in range(1, len(path))], dtype=np.int64))
        own = tiles[path[-1]]
        if len(path) == 1:
            nodes = np.diff(np.append(own.bounds, max(own.nodes, 1)))
            shares = nodes / max(1, nodes.sum())
        else:
            # Nodes are reached about as often as edges of the hop before lead to them.
            before = path[-2]
            shares = Tiles.of(lake, manifest, EdgeType(before.link, not before.reverse)).shares(own.bounds)
        figures = manifest.table(path[-1].target)
        valid_until = None
        if figures.has_end:
            valid_until = NodeColumn.of_table(lake, figures.name, "end_time", figures.rows, NEVER, plan.cache)
        places = Places.for_entries(shares * examples * width, plan.place_entries)
        key = hop_key(plan.seed, plan.epoch, path)
        hops.append(Hop(path, paths[path], width, key, plan.rule, own, places, valid_until, ()))
    return tuple(
        replace(hop, children=tuple(i for i, path in enumerate(order) if path[:-1] == hop.path)) for hop in hops
    )


def _exchange(
    session: SparkSession, examples: Examples, hops: tuple[Hop, ...], shard_rows: int, held: list[DataFrame]
) -> list[DataFrame]:
    """One frame of what was found for each hop; frames that several stages read are added to ``held``."""

    def kept(frame: DataFrame, readers: int) -> DataFrame:
        if readers > 1:
            held.append(frame.persist(StorageLevel.DISK_ONLY))
        return frame

    starts = range(0, len(examples), SEED_ROWS)
    parts = [(i, start, min(len(examples), start + SEED_ROWS)) for i, start in enumerate(starts)]
    spans = session.createDataFrame(parts, "part int, start long, stop long").repartitionById(len(parts), "part")
    roots = sum(len(hop.path) == 1 for hop in hops)
    sources: dict[Path, DataFrame] = {
        (): kept(spans.select("start", "stop").mapInArrow(SeedDealer(examples, hops), BLOCKS), roots)
    }
    found = []
    for index, hop in enumerate(hops):
        entries = sources[hop.path[:-1]].where(F.col("channel") == frontier_channel(index))
        sampler = HopSampler(index, hops, shard_rows)
        sampled = entries.repartitionById(len(hop.places), "place").mapInArrow(sampler, BLOCKS)
        sources[hop.path] = kept(sampled, 1 + len(hop.children))
        found.append(sources[hop.path].where(F.col("channel") == found_channel(index)))
    return found


def _write(
    lake: Lake,
    plan: ShardPlan,
    found: DataFrame,
    examples: Examples,
    hops: tuple[Hop, ...],
    shard_rows: int,
    features: Copied,
) -> list[WrittenFile]:
    job = uuid.uuid4().hex[:8]
    table = f"shards_{plan.query}"
    writer = ShardWriter(lake.table_uri(table), dict(lake.storage_options), examples, hops, shard_rows, job, features)
    rows = found.mapInArrow(writer, FILES).toArrow().sort_by("place").to_pylist()
    files = [WrittenFile(row["path"], row["size"], row["rows"]) for row in rows]
    remove_strays(lake.table_uri(table), lake.storage_options, job, {file.path for file in files})
    return files


def _record(plan: ShardPlan, hops: Sequence[Hop]) -> dict[str, object]:
    return {
        "table": plan.table,
        "seed": plan.seed,
        "epoch": plan.epoch,
        "rule": asdict(plan.rule),
        "hops": [
            {
                "name": path_name(hop.path),
                "path": [edge_type.table_name for edge_type in hop.path],
                "fanouts": [parent.fanout for parent in _ancestors(hop, hops)],
            }
            for hop in hops
        ],
    }


def _ancestors(hop: Hop, hops: Sequence[Hop]) -> list[Hop]:
    by_path = {other.path: other for other in hops}
    return [by_path[hop.path[:depth]] for depth in range(1, len(hop.path) + 1)]
