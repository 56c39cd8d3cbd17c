"""A job for the tests: sorts the edges of a graph with a hub, and samples around its users.

``hub_job.py FOLDER EVENTS ROUNDS``: generates the events in FOLDER, then sorts and samples that many times. Jobs of
round 0 are described as ``sort 0`` and ``shards 0``, and so on.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from gnnscale.config import SparkSettings
from gnnscale.etl.edges.edge_readers import LogEdges, scan_files
from gnnscale.etl.edges.edge_sort import write_sorted_edges
from gnnscale.etl.ids.key_ids import FileKeys, write_ids
from gnnscale.etl.ids.key_lookup import KeyMap
from gnnscale.etl.spark.parquet_scan import ParquetScan
from gnnscale.etl.spark.session import open_session
from gnnscale.etl.subgraph_shards.sample_shards import ShardPlan, build_shards
from gnnscale.etl.synthetic.generate import GeneratorSettings, generate_tables
from gnnscale.lake import Lake
from gnnscale.schema import EdgeType, GraphManifest
from gnnscale.schema.manifest import MANIFEST_NAME, RelationManifest, TableManifest
from gnnscale.schema.table import Link

HUB_SHARE = 0.1
USERS, ITEMS, SEEDS = 40_000, 4_000, 40_000
BUYS = Link("users", "buys", "items")


def main() -> None:
    folder, events, rounds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    session = open_session(SparkSettings(), "hub")
    settings = GeneratorSettings(
        USERS, ITEMS, events, hub_share=HUB_SHARE, file_rows=events // 4, group_rows=events // 40
    )
    lake = Lake(folder / "lake")
    first = np.datetime64(settings.start, "s").astype(int).item()
    span = settings.days * 86_400
    generate_tables(session, settings, folder / "raw")
    users, items = (number_keys(session, lake, folder, table) for table in ("users", "items"))
    files = raw_files(folder, "events")
    log = LogEdges(files, ("user_id", "item_id", "at"), users, items, first)
    rng = np.random.default_rng(0)
    seeds = pa.table({"entity": rng.integers(0, USERS, SEEDS), "anchor_time": first + rng.integers(0, span, SEEDS)})
    lake.write("labels_hub", seeds)
    for number in range(rounds):
        session.sparkContext.setJobDescription(f"sort {number}")
        forward, backward = (
            write_sorted_edges(
                lake,
                EdgeType(BUYS, reverse).table_name,
                scan_files(session, files, log),
                first,
                reverse,
                range_edges=events // 12,
                row_group=events // 100,
            )
            for reverse in (False, True)
        )
        spans = dict.fromkeys(("users", "items"), (first, first + span))
        tables = (TableManifest("users", USERS, spans["users"], ()), TableManifest("items", ITEMS, spans["items"], ()))
        relation = RelationManifest(
            "users", "buys", "items", forward.edges, forward.max_degree, forward.version, backward.version
        )
        manifest = GraphManifest(tables, (), first, None, (relation,))
        lake.write_record(MANIFEST_NAME, manifest.to_dict())
        session.sparkContext.setJobDescription(f"shards {number}")
        plan = ShardPlan("hub", "users", [8, 8], seed=1, tile_edges=events // 12, place_entries=1 << 14)
        build_shards(session, lake, manifest, plan)
        assert backward.max_degree > 0.9 * HUB_SHARE * events


def raw_files(folder: Path, table: str) -> ParquetScan:
    """The generated files of a table."""
    names = sorted(path.name for path in (folder / "raw" / table).glob("*.parquet"))
    return ParquetScan.of_files(str(folder / "raw" / table), names, {}, tasks=4)


def number_keys(session: SparkSession, lake: Lake, folder: Path, table: str) -> KeyMap:
    """Ids of a generated table."""
    files = raw_files(folder, table)
    reader = FileKeys(files, (f"{table[:-1]}_id",))
    cache = str(folder / "cache")
    return write_ids(lake, table, files.frame(session), reader, pa.int64(), files.rows, cache)


if __name__ == "__main__":
    main()
