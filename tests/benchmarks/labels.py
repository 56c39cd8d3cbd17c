"""Labels of 52 weekly anchors over generated events: time and memory as the events grow.

The question is churn: no event in the seven days after the anchor, asked of users with one in the 28 days before it.
The peer is DuckDB, which joins the same Parquet files with the anchors and groups; both write what they find as
Parquet.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from gnnscale.config import SparkSettings
from gnnscale.etl.labels.labelled_examples import label_frame
from gnnscale.etl.spark.session import open_session
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery
from gnnscale.query.anchors import AnchorPlan, plan_anchors
from gnnscale.schema import GraphManifest, GraphSchema, LinkManifest, Table, TableManifest
from tests.benchmarks.measure import arguments, finish, measured, surroundings

DAY = 86_400
START = 1_672_531_200
DAYS = 406
EVENTS_A_USER = 100
TEXT = "PREDICT COUNT(events.*, 0, 7, days) = 0 FOR EACH users.user_id WHERE COUNT(events.*, -28, 0, days) > 0"
SMALL, FULL = (100_000, 300_000, 1_000_000), (1_000_000, 10_000_000, 100_000_000)
CHUNK = 2_000_000


def main() -> None:
    """Run, print a table, and with ``--json`` one line more."""
    options = arguments(__doc__ or "")
    sizes = FULL if options.full else SMALL
    session = open_session(SparkSettings(), "labels benchmark")
    results = []
    for rows in sizes:
        folder = Path(tempfile.mkdtemp(prefix="labels-"))
        try:
            lake, query, plan, manifest = make_lake(folder, rows)
            with measured() as ours:
                frame = label_frame(session, lake, query, plan, manifest)
                frame.write.parquet(str(folder / "ours"))
            labels = session.read.parquet(str(folder / "ours")).count()
            with measured() as peer:
                found = run_duckdb(folder, lake, plan)
            assert found == labels, f"DuckDB finds {found:,} labels, not {labels:,}"
            results.append(
                {
                    "rows": rows,
                    "labels": labels,
                    "seconds": round(ours.seconds, 2),
                    "peak_gb": round(ours.peak_gb, 2),
                    "rows_per_second_per_core": round(rows / ours.seconds / (session.sparkContext.defaultParallelism)),
                    "duckdb_seconds": round(peer.seconds, 2),
                    "ratio_duckdb": round(peer.seconds / ours.seconds, 3),
                }
            )
            print(results[-1], flush=True)
        finally:
            shutil.rmtree(folder)
    largest = results[-1]
    finish(
        options,
        {
            "benchmark": "labels",
            **surroundings(("pyspark", "deltalake", "duckdb", "pyarrow")),
            **largest,
            "anchors": len(plan.splits()),
            "query": TEXT,
            "sizes": results,
        },
    )


def make_lake(folder: Path, rows: int) -> tuple[Lake, PredictiveQuery, AnchorPlan, GraphManifest]:
    """A lake as the graph stage leaves it, with ``rows`` events of a hundredth as many users."""
    lake = Lake(folder / "lake")
    users = rows // EVENTS_A_USER
    lake.write("nodes_users", pa.table({"node_id": np.arange(users), "time": pa.nulls(users, pa.int64())}))
    schema = pa.schema([("node_id", pa.int64()), ("time", pa.int64()), ("fk_user_id", pa.int64())])
    lake.write("nodes_events", pa.RecordBatchReader.from_batches(schema, events(rows, users, schema)))
    tables = [
        Table(name="users", primary_key="user_id", kinds={"user_id": "number"}),  # type: ignore[dict-item]
        Table(
            name="events",
            time_column="at",
            foreign_keys={"user_id": "users"},
            kinds={"at": "time", "user_id": "number"},  # type: ignore[dict-item]
        ),
    ]
    span = (START, START + DAYS * DAY)
    query = PredictiveQuery(GraphSchema(tables), TEXT)
    # 50 training anchors, one each for validation and test: 52.
    plan = plan_anchors(query.horizon, span, train=50)
    manifest = GraphManifest(
        (TableManifest("users", users, None, ()), TableManifest("events", rows, span, ())),
        (LinkManifest("events", "user_id", "users", rows, 0, 0, users, users, 0),),
        START,
        None,
    )
    return lake, query, plan, manifest


def events(rows: int, users: int, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Events in order of time, users drawn with a long tail."""
    rng = np.random.default_rng(0)
    for start in range(0, rows, CHUNK):
        count = min(CHUNK, rows - start)
        low, high = START + DAYS * DAY * start // rows, START + DAYS * DAY * (start + count) // rows
        user = (users * rng.random(count) ** 2).astype(np.int64)
        columns = [np.arange(start, start + count), np.sort(rng.integers(low, high, count)), user]
        yield pa.RecordBatch.from_arrays([pa.array(c) for c in columns], schema=schema)


def run_duckdb(folder: Path, lake: Lake, plan: AnchorPlan) -> int:
    """The same labels from DuckDB; their number."""
    files = [f"{lake.table_uri('nodes_events')}/{path}" for path in lake_files(lake, "nodes_events")]
    with duckdb.connect() as connection:
        connection.execute("SET memory_limit='12GB'")
        connection.execute(f"SET temp_directory='{folder}/spill'")
        anchors = pa.table({"anchor": list(plan.splits()), "split": [str(s) for s in plan.splits().values()]})
        connection.register("anchors", anchors)
        connection.execute(
            f"""
            COPY (
              SELECT fk_user_id AS entity, anchor, split,
                     count(*) FILTER (WHERE time > anchor) = 0 AS target
              FROM read_parquet({files}) JOIN anchors
                ON time > anchor - 28 * {DAY} AND time <= anchor + 7 * {DAY}
              GROUP BY ALL
              HAVING count(*) FILTER (WHERE time <= anchor) > 0
            ) TO '{folder}/peer.parquet' (FORMAT parquet)
            """
        )
        row: Any = connection.execute(f"SELECT count(*) FROM '{folder}/peer.parquet'").fetchone()
    return int(row[0])


def lake_files(lake: Lake, table: str) -> list[str]:
    """Data files of a table."""
    return sorted(pa.table(lake.open(table).get_add_actions(flatten=True))["path"].to_pylist())


if __name__ == "__main__":
    main()
