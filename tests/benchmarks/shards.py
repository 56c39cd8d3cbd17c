"""Subgraph shards on Spark: fan-outs [15, 10] around users at their anchors, over generated purchases.

The peer is what one writes in Spark SQL: join the frontier with the edges up to the anchor, number them in a random
order in a window, keep the first ones, join again. It takes time in proportion to all the edges of every node that it
meets, so it runs on fewer seeds, at two sizes; the ratio compares its marginal rate between the two, which leaves out
what it spends on reading and shuffling the edges once.
"""

from __future__ import annotations

import calendar
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from gnnscale.batches.blocks.shard_reader import ShardReader
from gnnscale.config import SparkSettings
from gnnscale.etl.edges.edge_readers import LogEdges, scan_files
from gnnscale.etl.edges.edge_sort import write_sorted_edges
from gnnscale.etl.ids.key_ids import FileKeys, write_ids
from gnnscale.etl.spark.parquet_scan import ParquetScan
from gnnscale.etl.spark.session import open_session
from gnnscale.etl.spark.write_tables import read_table
from gnnscale.etl.subgraph_shards.sample_shards import ShardPlan, build_shards
from gnnscale.etl.synthetic.generate import GeneratorSettings, generate_tables
from gnnscale.lake import Lake
from gnnscale.schema import GraphManifest, RelationManifest, TableManifest
from gnnscale.schema.manifest import MANIFEST_NAME
from tests.benchmarks.measure import arguments, finish, measured, surroundings

DAY = 86_400
FANOUTS = [15, 10]
SMALL = {"edges": 1_000_000, "seeds": (20_000,), "sql_seeds": (200, 1_000)}
FULL = {"edges": 100_000_000, "seeds": (20_000, 80_000, 320_000), "sql_seeds": (50, 200)}


def main() -> None:
    """Run, print a row for each size, and with ``--json`` one line more."""
    options = arguments(__doc__ or "")
    sizes: dict[str, Any] = FULL if options.full else SMALL
    folder = Path(tempfile.mkdtemp(prefix="shards-"))
    try:
        session = open_session(SparkSettings(conf={"spark.local.dir": str(folder / "spark")}), "shards benchmark")
        cores = session.sparkContext.defaultParallelism
        lake, manifest, settings = make_lake(session, folder, sizes["edges"])
        results = []
        for seeds in sizes["seeds"]:
            write_labels(lake, manifest, settings, seeds)
            plan = ShardPlan("next", "users", FANOUTS, cache=f"{lake.uri}/_store")
            with measured() as ours:
                build_shards(session, lake, manifest, plan)
            sampled = count_sampled(lake)
            results.append(
                {
                    "seeds": seeds,
                    "sampled_edges": sampled,
                    "seconds": round(ours.seconds, 1),
                    "peak_gb": round(ours.peak_gb, 2),
                    "edges_per_second_per_core": round(sampled / ours.seconds / cores),
                }
            )
            print(results[-1], flush=True)
        sql = []
        for seeds in sizes["sql_seeds"]:
            write_labels(lake, manifest, settings, seeds)
            with measured() as peer:
                sampled = run_sql(session, lake, manifest)
            sql.append({"seeds": seeds, "sampled_edges": sampled, "seconds": round(peer.seconds, 1)})
            print(sql[-1], flush=True)
    finally:
        shutil.rmtree(folder)
    more = sql[-1]["sampled_edges"] - sql[0]["sampled_edges"]
    rate = more / max(0.1, sql[-1]["seconds"] - sql[0]["seconds"]) / cores
    whole = sql[-1]["sampled_edges"] / sql[-1]["seconds"] / cores
    largest = results[-1]
    finish(
        options,
        {
            "benchmark": "shards",
            **surroundings(("pyspark", "deltalake", "pyarrow", "numba")),
            "edges": sizes["edges"],
            "fanouts": FANOUTS,
            **largest,
            "sizes": results,
            "sql": sql,
            "sql_edges_per_second_per_core": round(rate),
            "ratio_sql": round(largest["edges_per_second_per_core"] / rate, 1),
            "ratio_sql_whole": round(largest["edges_per_second_per_core"] / whole, 1),
        },
    )


def make_lake(session: SparkSession, folder: Path, edges: int) -> tuple[Lake, GraphManifest, GeneratorSettings]:
    """Users, items and purchases in both directions, as the graph stage leaves them."""
    settings = GeneratorSettings(edges // 20, edges // 100, edges)
    generate_tables(session, settings, folder / "raw")
    log, lake = folder / "raw" / "events", Lake(folder / "lake")
    files = ParquetScan.of_files(str(log), sorted(os.listdir(log)), {}, session.sparkContext.defaultParallelism)
    frame, cache = files.frame(session), f"{lake.uri}/_store"
    users, items = (
        write_ids(lake, table, frame, FileKeys(files, (column,)), pa.int64(), rows, cache)
        for table, column, rows in (("users", "user_id", settings.users), ("items", "item_id", settings.items))
    )
    origin = calendar.timegm(settings.start.timetuple())
    reader = LogEdges(files, ("user_id", "item_id", "at"), users, items, origin)
    scan = scan_files(session, files, reader)
    forward = write_sorted_edges(lake, "edges_users_bought", scan, origin)
    backward = write_sorted_edges(lake, "edges_rev_users_bought", scan, origin, reverse=True)
    shutil.rmtree(folder / "raw")
    span = (origin, origin + settings.days * DAY)
    counts = [lake.open(f"ids_{table}").to_pyarrow_dataset().count_rows() for table in ("users", "items")]
    tables = (TableManifest("users", counts[0], span, ()), TableManifest("items", counts[1], span, ()))
    relation = RelationManifest(
        "users", "bought", "items", edges, forward.max_degree, forward.version, backward.version
    )
    manifest = GraphManifest(tables, (), origin, None, (relation,))
    lake.write_record(MANIFEST_NAME, manifest.to_dict())
    return lake, manifest, settings


def write_labels(lake: Lake, manifest: GraphManifest, settings: GeneratorSettings, seeds: int) -> None:
    """Examples: users drawn at random, at one of eight weekly anchors at the end of the time."""
    rng = np.random.default_rng(0)
    anchors = manifest.origin + DAY * (settings.days - 7 * rng.integers(1, 9, seeds))
    users = rng.integers(0, manifest.table("users").rows, seeds)
    lake.write("labels_next", pa.table({"entity": users, "anchor_time": anchors, "target": rng.random(seeds) < 0.5}))


def count_sampled(lake: Lake) -> int:
    """Edges in the shards."""
    reader = ShardReader(lake, "next")
    return sum(
        int((hop.nodes >= 0).sum())
        for file in reader.files
        for shard in reader.read(file)
        for hop in shard.block.hops.values()
    )


def run_sql(session: SparkSession, lake: Lake, manifest: GraphManifest) -> int:
    """The same neighborhoods by joins and windows, as arrays a seed; edges sampled."""
    for name in ("labels_next", "edges_users_bought", "edges_rev_users_bought"):
        read_table(session, lake, name).createOrReplaceTempView(name)
    frame = session.sql(
        f"""
        WITH seeds AS (
          SELECT monotonically_increasing_id() AS example, entity, anchor_time FROM labels_next
        ), one AS (
          SELECT * FROM (
            SELECT example, anchor_time, target AS node,
                   row_number() OVER (PARTITION BY example ORDER BY rand(1)) AS slot
            FROM seeds JOIN edges_users_bought ON source = entity AND time <= anchor_time
          ) WHERE slot <= {FANOUTS[0]}
        ), two AS (
          SELECT * FROM (
            SELECT example, one.slot AS parent, target AS node,
                   row_number() OVER (PARTITION BY example, one.slot ORDER BY rand(2)) AS slot
            FROM one JOIN edges_rev_users_bought ON source = node AND time <= anchor_time
          ) WHERE slot <= {FANOUTS[1]}
        ), first AS (SELECT example, collect_list(struct(slot, node)) AS hop1 FROM one GROUP BY example),
        second AS (SELECT example, collect_list(struct(parent, slot, node)) AS hop2 FROM two GROUP BY example)
        SELECT example, hop1, hop2 FROM first LEFT JOIN second USING (example)
        """
    )
    out = f"{lake.uri}/_sql"
    frame.write.mode("overwrite").parquet(out)
    row = session.read.parquet(out).selectExpr("sum(size(hop1) + coalesce(size(hop2), 0))").first()
    assert row is not None
    return int(row[0])


if __name__ == "__main__":
    main()
