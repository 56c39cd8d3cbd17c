"""Node ids are dense and a function of the keys alone; those that were given stay."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from gnnscale.etl.ids.key_columns import key_form
from gnnscale.etl.ids.key_ids import RANGE_KEYS, FileKeys, FrameKeys, key_map, write_ids
from gnnscale.etl.spark.parquet_scan import ParquetScan
from gnnscale.lake import Lake

TEXT = [f"key {i}" for i in range(300)] + ["", "ä", "\0", "x" * 1_000]


def frame_of(spark, keys, kind=None, partitions=2):
    table = pa.table({"key": pa.array(keys, kind)})
    return spark.createDataFrame(table).repartition(partitions)


def numbered(lake, table="a"):
    """Key -> id, having seen that each key is there once and that ids are 0, 1 and so on in order of the files."""
    actions = pa.table(lake.open(f"ids_{table}").get_add_actions(flatten=True)).to_pylist()
    files = sorted(actions, key=lambda action: action["path"])
    tables = [pq.read_table(Path(lake.table_uri(f"ids_{table}")) / file["path"]) for file in files]
    assert [file["num_records"] for file in files] == [len(rows) for rows in tables]
    rows = pa.concat_tables(tables).to_pydict() if tables else {"key": [], "node_id": []}
    assert rows["node_id"] == list(range(len(rows["key"])))
    assert max(Counter(rows["key"]).values(), default=1) == 1
    return dict(zip(rows["key"], rows["node_id"], strict=True))


def write(spark, lake, keys, kind, ranges=1, partitions=2, known=None):
    cache = str(Path(lake.uri) / "_store")
    frame = frame_of(spark, keys, kind, partitions)
    return write_ids(lake, "a", frame, FrameKeys(), kind, ranges * RANGE_KEYS, cache, known)


@pytest.mark.parametrize(
    ("keys", "kind"),
    [(TEXT, pa.string()), ([*range(-150, 150), 2**63 - 1, -(2**63)], pa.int64())],
    ids=["text", "numbers"],
)
def test_ids_depend_on_the_keys_alone(spark, tmp_path, keys, kind):
    rng = np.random.default_rng(0)
    found = []
    for number, (ranges, partitions, copies) in enumerate([(1, 1, 1), (7, 3, 3), (9, 2, 2)]):
        lake = Lake(tmp_path / str(number))
        # A key comes many times, in several partitions, and in any order; nulls are none.
        many = [keys[i] for i in rng.permutation(np.tile(np.arange(len(keys)), copies))] + [None]
        write(spark, lake, many, kind, ranges, partitions)
        found.append(numbered(lake))
        files = pa.table(lake.open("ids_a").get_add_actions(flatten=True)).num_rows
        assert files == {1: 1, 7: 7}.get(ranges, files)
        assert not (Path(lake.uri) / "_staging").exists() or not list((Path(lake.uri) / "_staging").iterdir())
    assert set(found[0]) == set(keys)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        (["b", "a"], pa.string()),
        ([5, 3], pa.int32()),
        ([5, -3], pa.int64()),
        ([dt.date(2024, 2, 29), dt.date(1950, 1, 1)], pa.date32()),
        ([Decimal("1.50"), Decimal("-2.00")], pa.decimal128(10, 2)),
    ],
    ids=str,
)
def test_keys_keep_their_type(spark, tmp_path, keys, kind):
    lake = Lake(tmp_path)
    frame = frame_of(spark, keys, kind)
    physical = frame.schema["key"].dataType
    plain = frame.select(key_form(F.col("key"), physical, physical).alias("key"))
    ids = write_ids(lake, "a", plain, FrameKeys(), kind, 2, str(tmp_path / "c"))
    assert pa.schema(lake.open("ids_a").schema().to_arrow()).field("key").type == kind
    assert set(numbered(lake)) == set(keys)
    form = [str(key) if kind not in (pa.int32(), pa.int64()) else key for key in keys]
    assert ids.lookup().find(pa.array(form)).tolist() == [numbered(lake)[key] for key in keys]


@pytest.mark.parametrize("kind", [pa.string(), pa.int64()], ids=str)
def test_known_keys_keep_their_ids_and_new_ones_follow(spark, tmp_path, kind):
    lake = Lake(tmp_path)
    keys = [i if kind == pa.int64() else f"key {i}" for i in range(60)]
    write(spark, lake, keys[:40], kind, 3)
    before = numbered(lake)
    ids = write(spark, lake, keys[20:] * 2, kind, 5, known=key_map(lake, "a", str(tmp_path / "_store")))
    after = numbered(lake)
    assert lake.version("ids_a") == 1
    assert set(after) == set(keys)
    assert {key: after[key] for key in before} == before
    assert ids.lookup().find(pa.array([*keys, None], kind)).tolist() == [*(after[key] for key in keys), -1]
    again = write(spark, lake, keys[:50], kind, 2, known=ids)
    assert again == ids
    assert lake.version("ids_a") == 1


def test_a_table_without_keys_has_no_ids(spark, tmp_path):
    lake = Lake(tmp_path)
    ids = write(spark, lake, [None, None], pa.string())
    assert numbered(lake) == {}
    assert ids.lookup().find(pa.array(["a", None])).tolist() == [-1, -1]
    first = write(spark, lake, ["a"], pa.string(), known=ids)
    assert numbered(lake) == {"a": 0}
    assert first.lookup().find(pa.array(["a", "b"])).tolist() == [0, -1]


def test_keys_of_several_columns_of_files_are_numbered_together(spark, tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    table = pa.table({"from": pa.array([1, 2, None], pa.int32()), "to": pa.array([3, 1, 2**40], pa.int64())})
    pq.write_table(table, raw / "0.parquet")
    files = ParquetScan.of_files(str(raw), ["0.parquet"], {}, tasks=2)
    lake = Lake(tmp_path / "lake")
    ids = write_ids(lake, "a", files.frame(spark), FileKeys(files, ("from", "to")), pa.int64(), 4, str(tmp_path / "c"))
    assert set(numbered(lake)) == {1, 2, 3, 2**40}
    # A narrower column asks for the same keys.
    narrow = ids.lookup().find(pa.array([1, 2, 3, None, 4], pa.int32())).tolist()
    assert narrow == [*(numbered(lake)[key] for key in (1, 2, 3)), -1, -1]
