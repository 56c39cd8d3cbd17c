"""Sorted edge tables: what pandas sorts, in files that are in order, none much larger than the others."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gnnscale.etl.edges.edge_blocks import EdgeColumns
from gnnscale.etl.edges.edge_readers import NumberedEdges, epoch_seconds, scan_files, scan_frame
from gnnscale.etl.edges.edge_sort import edge_schema, write_sorted_edges
from gnnscale.etl.spark.parquet_scan import ParquetScan
from gnnscale.etl.synthetic.generate import GeneratorSettings, table_rows
from gnnscale.lake import Lake
from gnnscale.lake.delta_files import remove_strays

log = logging.getLogger(__name__)

ORIGIN = 1_700_000_000
HUB = 7


def random_edges(seed, count=3_000, weighted=False):
    """Rows of an edge table; a third of them at one source, some without a time or with an end that is no node."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "source": np.where(rng.random(count) < 0.33, HUB, rng.integers(-1, 60, count)),
            "target": rng.integers(-1, 40, count),
            "time": pd.array(ORIGIN + rng.integers(0, 500, count), "Int64"),
        }
    )
    frame.loc[rng.random(count) < 0.1, "time"] = pd.NA
    if weighted:
        frame["weight"] = rng.integers(1, 9, count).astype(np.float32)
    return frame


def sorted_by_pandas(edges, reverse=False):
    edges = edges[(edges.source >= 0) & (edges.target >= 0)]
    if reverse:
        edges = edges.rename(columns={"source": "target", "target": "source"})
    columns = ["source", "target", "time", *(["weight"] if "weight" in edges else [])]
    order = ["source", "time", "target", *columns[3:]]
    edges = edges[columns].sort_values(order, na_position="first")
    return edges.convert_dtypes(dtype_backend="pyarrow").astype(object).where(edges.notna(), None).values.tolist()


def write_parquet(edges, folder, files=3, row_group=250):
    folder.mkdir()
    for number, places in enumerate(np.array_split(np.arange(len(edges)), files)):
        table = pa.Table.from_pandas(edges.iloc[places], preserve_index=False)
        pq.write_table(table, folder / f"{number}.parquet", row_group_size=row_group)
    return ParquetScan.of_files(str(folder), [f"{i}.parquet" for i in range(files)], {}, tasks=2)


def scan_of(spark, edges, folder, kind):
    columns = tuple(edges.columns)
    if kind == "files":
        files = write_parquet(edges, folder)
        return scan_files(spark, files, NumberedEdges(ORIGIN, files, columns))
    frame = spark.createDataFrame(pa.Table.from_pandas(edges, preserve_index=False)).repartition(3)
    return scan_frame(frame, len(edges), ORIGIN, "weight" in columns)


def file_actions(lake, table):
    """Add actions in order of the files' names."""
    actions = pa.table(lake.open(table).get_add_actions(flatten=True)).to_pylist()
    return sorted(({**row, "path": unquote(row["path"])} for row in actions), key=lambda row: row["path"])


def file_tables(lake, table):
    return [pq.read_table(Path(lake.table_uri(table)) / row["path"]) for row in file_actions(lake, table)]


def rows_of(tables):
    return [list(row.values()) for table in tables for row in table.to_pylist()]


@pytest.mark.parametrize(
    ("kind", "reverse", "weighted", "range_edges"),
    [
        ("files", False, False, 10_000),
        ("files", True, True, 400),
        ("files", False, True, 90),
        ("frame", False, False, 400),
        ("frame", True, True, 10_000),
    ],
)
def test_the_table_is_what_pandas_sorts(spark, tmp_path, kind, reverse, weighted, range_edges):
    lake, edges = Lake(tmp_path / "lake"), random_edges(range_edges, weighted=weighted)
    scan = scan_of(spark, edges, tmp_path / "raw", kind)
    written = write_sorted_edges(lake, "edges_a", scan, ORIGIN, reverse, range_edges=range_edges, row_group=100)
    expected = sorted_by_pandas(edges, reverse)
    tables = file_tables(lake, "edges_a")
    assert all(table.schema == edge_schema(weighted) for table in tables)
    assert rows_of(tables) == expected
    sources = pd.Series([row[0] for row in expected])
    assert (written.edges, written.version) == (len(expected), 0)
    assert written.max_degree == sources.value_counts().max()
    actions = file_actions(lake, "edges_a")
    assert len(actions) >= min(2, len(edges) // range_edges)
    for action, table in zip(actions, tables, strict=True):
        assert action["num_records"] == table.num_rows
        assert (action["min.source"], action["max.source"]) == (table["source"][0].as_py(), table["source"][-1].as_py())
        path = Path(lake.table_uri("edges_a")) / action["path"]
        assert action["size_bytes"] == path.stat().st_size
        assert pq.read_metadata(path).num_row_groups == -(-table.num_rows // 100)
    if not reverse and range_edges == 90:
        spread = [table for table in tables if HUB in table["source"].to_pylist()]
        assert len(spread) > 5
        assert max(table["source"].to_pylist().count(HUB) for table in tables) < written.max_degree


def test_a_further_run_is_appended_in_files_of_its_own_order(spark, tmp_path):
    lake, parts = Lake(tmp_path / "lake"), [random_edges(seed) for seed in (0, 1)]
    for number, edges in enumerate(parts):
        scan = scan_of(spark, edges, tmp_path / f"raw{number}", "files")
        written = write_sorted_edges(lake, "edges_a", scan, ORIGIN, run=number or None, range_edges=700)
        assert (written.version, written.edges) == (number, len(sorted_by_pandas(edges)))
    tables = file_tables(lake, "edges_a")
    names = [action["path"] for action in file_actions(lake, "edges_a")]
    later = [name.startswith("run-0001-") for name in names]
    assert any(later)
    assert not all(later)
    for wanted, edges in zip((False, True), parts, strict=True):
        own = [table for table, is_later in zip(tables, later, strict=True) if is_later is wanted]
        assert rows_of(own) == sorted_by_pandas(edges)


def test_without_a_run_the_table_is_replaced(spark, tmp_path):
    lake = Lake(tmp_path / "lake")
    for seed in (0, 1):
        edges = random_edges(seed, 300)
        write_sorted_edges(lake, "edges_a", scan_of(spark, edges, tmp_path / str(seed), "files"), ORIGIN)
    assert rows_of(file_tables(lake, "edges_a")) == sorted_by_pandas(edges)


@pytest.mark.parametrize("count", [0, 3_000], ids=["no rows", "no row with an edge"])
def test_no_edges_are_an_empty_table(spark, tmp_path, count):
    lake = Lake(tmp_path / "lake")
    scan = scan_of(spark, random_edges(0, count).assign(target=-1), tmp_path / "raw", "files")
    written = write_sorted_edges(lake, "edges_a", scan, ORIGIN, range_edges=400)
    assert (written.edges, written.max_degree) == (0, 0)
    assert lake.read("edges_a").num_rows == 0
    assert pa.schema(lake.open("edges_a").schema().to_arrow()).names == ["source", "target", "time"]


def test_files_of_attempts_that_failed_are_removed_and_no_others(spark, tmp_path):
    lake = Lake(tmp_path / "lake")
    scan = scan_of(spark, random_edges(0, 300), tmp_path / "raw", "files")
    write_sorted_edges(lake, "edges_a", scan, ORIGIN, range_edges=100)
    folder = Path(lake.table_uri("edges_a"))
    kept = {action["path"] for action in file_actions(lake, "edges_a")}
    assert {path.name for path in folder.glob("*.parquet")} == kept
    *_, job, _ = min(kept).split("-")
    again = folder / f"part-000000-{job}-0badbeef.parquet"
    other = folder / "part-000000-01234567-0badbeef.parquet"
    for path in (again, other):
        path.write_bytes(b"unfinished")
    remove_strays(str(folder), {}, job, kept)
    assert {path.name for path in folder.glob("*.parquet")} == {*kept, other.name}


@dataclass(frozen=True)
class HubEvents:
    """Ends of generated events as node ids, by their rank; all rows, and of them those that a scan would peek at."""

    files: ParquetScan
    weighted: bool = False

    def edges(self, batches: Iterator[pa.RecordBatch]) -> Iterator[EdgeColumns]:
        return (self._columns(batch) for batch in self.files.batches(batches, ["item_id", "user_id", "at"]))

    def sample(self, batches: Iterator[pa.RecordBatch]) -> Iterator[EdgeColumns]:
        return (self._columns(batch) for batch in self.files.peek(batches, ["item_id", "user_id", "at"]))

    def _columns(self, batch: pa.RecordBatch) -> EdgeColumns:
        # Keys are sparse 64-bit numbers; nodes far apart make the ranges no easier to balance.
        item, user = (batch.column(name).to_numpy().astype(np.int64) & (2**31 - 1) for name in ("item_id", "user_id"))
        return EdgeColumns.of(item, user, *epoch_seconds(batch.column("at"), 0), 0)


@pytest.mark.parametrize("group_rows", [50_000, 1_000_000])
def test_no_range_has_much_more_than_the_mean_under_a_hub(spark, tmp_path, group_rows):
    events = 3_000_000
    settings = GeneratorSettings(20_000, 5_000, events, hub_share=0.1)
    (tmp_path / "raw").mkdir()
    pq.write_table(table_rows(settings, "events", 0, events), tmp_path / "raw" / "0.parquet", row_group_size=group_rows)
    files = ParquetScan.of_files(str(tmp_path / "raw"), ["0.parquet"], {}, tasks=2)
    lake = Lake(tmp_path / "lake")
    scan = scan_files(spark, files, HubEvents(files))
    written = write_sorted_edges(lake, "edges_a", scan, 0, range_edges=events // 16)
    sizes = np.array([action["num_records"] for action in file_actions(lake, "edges_a")])
    assert sizes.sum() == written.edges == events
    assert len(sizes) >= 16
    assert written.max_degree > 0.09 * events
    log.info(f"{len(sizes)} ranges; the largest has {sizes.max() / sizes.mean():.2f} times the mean")
    assert sizes.max() <= 1.5 * sizes.mean(), sizes
