"""Event logs to numbered edges, sorted in both directions: time, memory and disk as the edges grow.

Raw Parquet of (user key, item key, time) is numbered, both keys from the log itself, and its edges are written sorted
by (source, time) in each direction. DuckDB sorts the same file by (user key, time) out of core, and so does Spark with
a range partitioning: neither numbers keys nor turns edges around, so each is compared with our one direction, whose
time includes the look-up of both keys.
"""

from __future__ import annotations

import calendar
import gc
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from pyspark.sql import SparkSession

from gnnscale.config import SparkSettings
from gnnscale.etl.edges.edge_readers import LogEdges, scan_files
from gnnscale.etl.edges.edge_sort import write_sorted_edges
from gnnscale.etl.ids.key_ids import FileKeys, write_ids
from gnnscale.etl.spark.parquet_scan import ParquetScan
from gnnscale.etl.spark.session import open_session
from gnnscale.etl.synthetic.generate import GeneratorSettings, generate_tables
from gnnscale.lake import Lake
from tests.benchmarks.measure import Measured, arguments, finish, measured, surroundings

SMALL = (("int", 1_000_000, True), ("string", 1_000_000, True), ("int", 4_000_000, True))
FULL = (
    ("int", 10_000_000, True),
    ("string", 10_000_000, True),
    ("int", 100_000_000, True),
    ("string", 100_000_000, True),
    # Spark's own sort of a billion rows takes about half an hour here.
    ("int", 1_000_000_000, False),
)
EVENTS_A_USER, EVENTS_AN_ITEM = 20, 100


@dataclass
class Disk:
    """Most bytes that a folder held."""

    peak_gb: float = 0.0


def main() -> None:
    """Run, print a row for each size, and with ``--json`` one line more."""
    options = arguments(__doc__ or "")
    results: list[dict[str, Any]] = []
    for keys, edges, with_spark in FULL if options.full else SMALL:
        folder = Path(tempfile.mkdtemp(prefix="graph-"))
        try:
            results.append(measure(folder, keys, edges, with_spark))
        finally:
            shutil.rmtree(folder)
        print(results[-1], flush=True)
    largest = max((r for r in results if r["keys"] == "int"), key=lambda r: r["edges"])
    compared = max((r for r in results if "ratio_spark_sort" in r), key=lambda r: r["edges"])
    finish(
        options,
        {
            "benchmark": "graph",
            **surroundings(("pyspark", "deltalake", "duckdb", "pyarrow", "numba")),
            **largest,
            "ratio_spark_sort": compared["ratio_spark_sort"],
            "ratio_spark_sort_edges": compared["edges"],
            "sizes": results,
        },
    )


def measure(folder: Path, keys: str, edges: int, with_spark: bool) -> dict[str, Any]:
    """One size: ours, DuckDB, and Spark's own sort."""
    local = folder / "spark"
    session = open_session(SparkSettings(conf={"spark.local.dir": str(local)}), "graph benchmark")
    cores = session.sparkContext.defaultParallelism
    settings = GeneratorSettings(
        max(1, edges // EVENTS_A_USER),
        max(1, edges // EVENTS_AN_ITEM),
        edges,
        keys=keys,  # type: ignore[arg-type]
    )
    generate_tables(session, settings, folder / "raw")
    for table in ("users", "items"):
        shutil.rmtree(folder / "raw" / table)
    log = folder / "raw" / "events"
    raw_gb = _folder_gb(log)
    lake = Lake(folder / "lake")
    with _disk(folder) as disk:
        with measured() as numbering:
            reader = number(session, lake, log, keys, settings)
        scan = scan_files(session, reader.files, reader)
        print(f"{keys} {edges:,}: ids {numbering.seconds:.1f} s, {numbering.peak_gb:.1f} GB", flush=True)
        with measured() as forward:
            one = write_sorted_edges(lake, "edges_users_bought", scan, reader.origin)
        print(f"{keys} {edges:,}: one direction {forward.seconds:.1f} s, {forward.peak_gb:.1f} GB", flush=True)
        with measured() as backward:
            other = write_sorted_edges(lake, "edges_rev_users_bought", scan, reader.origin, reverse=True)
    print(f"{keys} {edges:,}: the other {backward.seconds:.1f} s, {backward.peak_gb:.1f} GB", flush=True)
    shuffled, spilled = shuffle_bytes(session)
    assert one.edges == other.edges == edges, f"{one.edges:,} and {other.edges:,} edges of {edges:,} rows"
    lake_gb = _folder_gb(folder / "lake")
    shutil.rmtree(folder / "lake")
    result = {
        "keys": keys,
        "edges": edges,
        "seconds": round(numbering.seconds + forward.seconds + backward.seconds, 1),
        "ids_seconds": round(numbering.seconds, 1),
        "one_direction_seconds": round(forward.seconds, 1),
        "other_direction_seconds": round(backward.seconds, 1),
        "edges_per_second_per_core": round(edges / forward.seconds / cores),
        "peak_gb": round(max(m.peak_gb for m in (numbering, forward, backward)), 2),
        "max_degree": [one.max_degree, other.max_degree],
        "raw_gb": round(raw_gb, 2),
        "written_gb": round(lake_gb, 2),
        "shuffled_gb": round(shuffled / 1e9, 2),
        "spilled_gb": round(spilled / 1e9, 2),
        "disk_peak_gb": round(disk.peak_gb, 2),
    }
    with _disk(folder / "spill") as spill:
        peer = run_duckdb(folder, log, edges)
    result |= {
        "duckdb_seconds": round(peer.seconds, 1),
        "duckdb_peak_gb": round(peer.peak_gb, 2),
        "duckdb_spill_gb": round(spill.peak_gb, 2),
        "ratio_duckdb": round(peer.seconds / forward.seconds, 2),
    }
    if with_spark:
        with measured() as plain:
            frame = session.read.parquet(str(log)).select("user_id", "item_id", "at")
            ordered = frame.repartitionByRange(max(4, edges // 8_000_000), "user_id", "at")
            ordered.sortWithinPartitions("user_id", "at").write.parquet(str(folder / "plain"))
        result |= {
            "spark_sort_seconds": round(plain.seconds, 1),
            "ratio_spark_sort": round(plain.seconds / forward.seconds, 2),
        }
    session.stop()
    gc.collect()
    return result


def number(session: SparkSession, lake: Lake, log: Path, keys: str, settings: GeneratorSettings) -> LogEdges:
    """Ids of both keys, from the log alone, and the reader that looks them up."""
    files = ParquetScan.of_files(str(log), sorted(os.listdir(log)), {}, session.sparkContext.defaultParallelism)
    key_type = pa.int64() if keys == "int" else pa.string()
    frame, cache = files.frame(session), f"{lake.uri}/_store"
    users, items = (
        write_ids(lake, table, frame, FileKeys(files, (column,)), key_type, expected, cache)
        for table, column, expected in (("users", "user_id", settings.users), ("items", "item_id", settings.items))
    )
    start = calendar.timegm(settings.start.timetuple())
    return LogEdges(files, ("user_id", "item_id", "at"), users, items, start)


def shuffle_bytes(session: SparkSession) -> tuple[int, int]:
    """Bytes that this session's tasks have written for shuffles, and that they spilled to disk beyond that."""
    context: Any = session.sparkContext
    jvm = context._gateway.jvm
    no_quantiles = context._gateway.new_array(jvm.double, 0)
    stages = context._jsc.sc().statusStore().stageList(None, False, False, no_quantiles, jvm.java.util.ArrayList())
    every = [stages.apply(i) for i in range(stages.size())]
    return sum(s.shuffleWriteBytes() for s in every), sum(s.diskBytesSpilled() for s in every)


def run_duckdb(folder: Path, log: Path, edges: int) -> Measured:
    """The same rows in order of user key and time, from DuckDB."""
    with measured() as peer, duckdb.connect() as connection:
        connection.execute(f"SET memory_limit='12GB'; SET temp_directory='{folder}/spill'")
        connection.execute(
            f'COPY (SELECT user_id, item_id, "at" FROM read_parquet(\'{log}/*.parquet\') ORDER BY user_id, "at") '
            f"TO '{folder}/peer.parquet' (FORMAT parquet)"
        )
    with duckdb.connect() as connection:
        row: Any = connection.execute(f"SELECT count(*) FROM '{folder}/peer.parquet'").fetchone()
    assert row[0] == edges
    os.remove(folder / "peer.parquet")
    return peer


@contextmanager
def _disk(folder: Path) -> Iterator[Disk]:
    """Sample what a folder holds."""
    result, done = Disk(), threading.Event()

    def sample() -> None:
        while not done.wait(2):
            result.peak_gb = max(result.peak_gb, _folder_gb(folder))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield result
    finally:
        done.set()
        thread.join()


def _folder_gb(folder: Path) -> float:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(root) / name).stat().st_size
            except OSError:
                continue
    return total / 1e9


if __name__ == "__main__":
    main()
