"""Spark and delta-rs see the same tables, and a write that fails leaves nothing to see."""

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import functions as F

from gnnscale.etl.spark.delta_source import has_jvm_delta, read_delta
from gnnscale.etl.spark.session import open_session
from gnnscale.etl.spark.source_scan import reaches
from gnnscale.etl.spark.write_tables import read_table, write_table
from gnnscale.lake import Lake
from gnnscale.pipeline.failures import explain_failure
from gnnscale.schema import LakeError
from tests.conftest import SPARK
from tests.etl.frames import frame_of

ROWS = {
    "id": list(range(7)),
    "name": ["a", None, "ç", "", "e", "f", "g"],
    "value": [0.5, None, -1.0, 2.0, 3.0, 4.0, 5.0],
    "items": [[1], [], None, [2, 3], [4], [5], [6]],
}


def rows_of(uri: Path | str) -> dict:
    return DeltaTable(str(uri)).to_pyarrow_table().sort_by("id").to_pydict()


def test_opening_again_gives_the_session_that_is_there(spark):
    assert open_session(SPARK) is spark
    assert spark.conf.get("spark.sql.session.timeZone") == "UTC"
    assert not has_jvm_delta(spark)


def test_what_spark_writes_is_what_deltalake_reads(spark, tmp_path):
    uri = str(tmp_path / "t")
    frame = frame_of(spark, **ROWS).repartition(3)
    frame.write.format("delta").mode("overwrite").option("userMetadata.query", "q").save(uri)
    assert rows_of(uri) == ROWS
    assert DeltaTable(uri).version() == 0
    assert DeltaTable(uri).history(1)[0]["query"] == "q"
    counts = pa.table(DeltaTable(uri).get_add_actions(flatten=True))["num_records"]
    assert sum(counts.to_pylist()) == 7


def test_an_append_adds_and_an_overwrite_replaces(spark, tmp_path):
    uri = str(tmp_path / "t")
    frame = frame_of(spark, **ROWS)
    for mode in ("append", "append", "overwrite"):
        frame.write.format("delta").mode(mode).save(uri)
        expected = 14 if mode == "append" and DeltaTable(uri).version() == 1 else 7
        assert DeltaTable(uri).to_pyarrow_table().num_rows == expected
    assert DeltaTable(uri).version() == 2
    assert DeltaTable(uri, version=1).to_pyarrow_table().num_rows == 14


def test_an_overwrite_may_change_the_columns_but_an_append_may_not(spark, tmp_path):
    uri = str(tmp_path / "t")
    frame_of(spark, **ROWS).write.format("delta").mode("overwrite").save(uri)
    other = frame_of(spark, id=[1], other=["x"])
    with pytest.raises(PySparkException, match="can't append"):
        other.write.format("delta").mode("append").save(uri)
    assert rows_of(uri) == ROWS
    other.write.format("delta").mode("overwrite").save(uri)
    assert rows_of(uri) == {"id": [1], "other": ["x"]}


def test_what_deltalake_writes_is_what_spark_reads_both_ways(spark, tmp_path):
    uri = str(tmp_path / "t")
    table = pa.table(ROWS)
    write_deltalake(uri, table.slice(0, 4))
    write_deltalake(uri, table.slice(4), mode="append")
    for frame in (read_delta(spark, uri), spark.read.format("delta").load(uri)):
        assert frame.orderBy("id").toArrow().to_pydict() == ROWS


def test_times_with_and_without_a_zone_are_read(spark, tmp_path):
    moments = pa.array([0, None, 86_400_000_000], pa.timestamp("us"))
    table = pa.table({"id": [0, 1, 2], "zoned": moments.cast(pa.timestamp("us", "UTC")), "plain": moments})
    write_deltalake(str(tmp_path / "t"), table)
    rows = spark.read.format("delta").load(str(tmp_path / "t")).orderBy("id").collect()
    assert [row.plain for row in rows] == moments.to_pylist()
    zoned = spark.read.format("delta").load(str(tmp_path / "t")).selectExpr("id", "unix_micros(zoned) t").orderBy("id")
    assert [row.t for row in zoned.collect()] == [0, None, 86_400_000_000]


def test_rows_that_were_overwritten_are_not_read(spark, tmp_path):
    uri = str(tmp_path / "t")
    write_deltalake(uri, pa.table({"id": [1, 2, 3]}))
    write_deltalake(uri, pa.table({"id": [9]}), mode="overwrite")
    for frame in (read_delta(spark, uri), spark.read.format("delta").load(uri)):
        assert [row["id"] for row in frame.collect()] == [9]


def test_an_empty_frame_makes_an_empty_table_with_its_columns(spark, tmp_path):
    uri = str(tmp_path / "t")
    frame_of(spark, **ROWS).where("id > 100").write.format("delta").mode("overwrite").save(uri)
    assert DeltaTable(uri).to_pyarrow_table().num_rows == 0
    for frame in (read_delta(spark, uri), spark.read.format("delta").load(uri)):
        assert frame.columns == list(ROWS) and frame.count() == 0


@pytest.mark.parametrize("before", [0, 1])
def test_a_task_that_fails_leaves_the_table_as_it_was(spark, tmp_path, before):
    uri = str(tmp_path / "t")
    if before:
        write_deltalake(uri, pa.table({"id": [1, 2, 3]}))
    files = set(DeltaTable(uri).file_uris()) if before else set()
    broken = F.when(F.col("id") == 19, F.raise_error(F.lit("stop here"))).otherwise(F.col("id"))
    frame = spark.range(20, numPartitions=4).select(broken.cast("long").alias("id"))
    with pytest.raises(PySparkException, match="stop here"):
        frame.write.format("delta").mode("overwrite").save(uri)
    assert DeltaTable.is_deltatable(uri) == bool(before)
    if before:
        assert DeltaTable(uri).version() == 0
        assert set(DeltaTable(uri).file_uris()) == files
        for read in (read_delta(spark, uri), spark.read.format("delta").load(uri)):
            assert sorted(row["id"] for row in read.collect()) == [1, 2, 3]


def test_a_table_that_could_not_be_written_leaves_no_file(spark, tmp_path):
    broken = F.when(F.col("id") == 19, F.raise_error(F.lit("stop here"))).otherwise(F.col("id"))
    with pytest.raises(PySparkException, match="stop here"):
        write_table(Lake(tmp_path), "t", spark.range(20, numPartitions=4).select(broken.cast("long").alias("id")))
    assert not list((tmp_path / "t").rglob("*"))


def test_a_sorted_frame_stays_sorted_over_its_files(spark, tmp_path):
    uri = tmp_path / "t"
    frame = spark.range(1_000).withColumn("id", F.pmod(F.col("id") * 7919, F.lit(1_000)))
    frame.repartitionByRange(4, "id").sortWithinPartitions("id").write.format("delta").mode("overwrite").save(str(uri))
    paths = sorted(pa.table(DeltaTable(str(uri)).get_add_actions(flatten=True))["path"].to_pylist())
    assert len(paths) == 4
    ids = [i for path in paths for i in pa.parquet.read_table(uri / path)["id"].to_pylist()]
    assert ids == list(range(1_000))


def test_deletion_vectors_that_are_allowed_and_not_used_are_no_fault(spark, tmp_path):
    uri = str(tmp_path / "t")
    write_deltalake(uri, pa.table({"id": [1]}), configuration={"delta.enableDeletionVectors": "true"})
    for frame in (read_delta(spark, uri), spark.read.format("delta").load(uri)):
        assert [row["id"] for row in frame.collect()] == [1]


def test_a_partitioned_table_is_read_right_or_refused(spark, tmp_path):
    uri = str(tmp_path / "t")
    write_deltalake(uri, pa.table({"id": [1, 2, 3], "day": ["é b", "é b", None]}), partition_by=["day"])
    expected = [(1, "é b"), (2, "é b"), (3, None)]
    assert sorted((row["id"], row["day"]) for row in read_delta(spark, uri).collect()) == expected
    with pytest.raises(PySparkException, match="partitioned"):
        spark.read.format("delta").load(uri).collect()


def test_a_lake_table_goes_through_spark_and_back(spark, tmp_path):
    lake = Lake(tmp_path)
    assert write_table(lake, "t", frame_of(spark, **ROWS), metadata={"stage": "graph"}) == 0
    assert write_table(lake, "t", frame_of(spark, id=[5])) == 1
    assert lake.read("t", version=0).sort_by("id").to_pydict() == ROWS
    assert lake.open("t").history()[-1]["stage"] == "graph"
    assert [row["id"] for row in read_table(spark, lake, "t").collect()] == [5]
    with pytest.raises(LakeError, match="no table 'other'"):
        read_table(spark, lake, "other")


def test_a_turned_bit_is_found_by_spark_and_by_our_reader(spark, tmp_path):
    lake = Lake(tmp_path)
    write_table(lake, "nodes_x", spark.range(3000).selectExpr("id AS node_id", "id * 7 AS amount").coalesce(1))
    (file,) = (tmp_path / "nodes_x").glob("*.parquet")
    column = pa.parquet.read_metadata(file).row_group(0).column(1)
    content = bytearray(file.read_bytes())
    # In the plain values of a column's page: no codec and no encoding notices.
    content[(column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size - 5] ^= 16
    file.write_bytes(content)
    # Java's own checksums of files, which lie beside them where Java wrote them, are not what finds it.
    assert not list((tmp_path / "nodes_x").glob(".*.crc"))
    frames = read_table(spark, lake, "nodes_x"), spark.read.format("delta").load(lake.table_uri("nodes_x"))
    for frame in frames:
        with pytest.raises((PySparkException, Py4JJavaError)) as caught:
            frame.agg({"amount": "sum"}).collect()
        told = explain_failure(caught.value, lake)
        assert isinstance(told, LakeError) and file.name in str(told) and "\n" not in str(told)
    with pytest.raises(LakeError, match="CRC"):
        lake.read("nodes_x")


@pytest.mark.parametrize("folder", ["plain", "with space", "läke", "a[1]", "a{b}", "a?b", "a#b"])
def test_a_lake_can_be_in_any_folder(spark, tmp_path, folder):
    lake = Lake(tmp_path / folder)
    write_table(lake, "t", frame_of(spark, id=[1, 2]))
    assert sorted(lake.read("t")["id"].to_pylist()) == [1, 2]
    assert sorted(row["id"] for row in read_table(spark, lake, "t").collect()) == [1, 2]


@pytest.mark.parametrize(
    ("uri", "options", "expected"),
    [
        ("/tmp/lake", {"AWS_REGION": "x"}, True),
        ("file:///tmp/lake", {}, True),
        ("hdfs://host/lake", {}, True),
        # Spark as it comes knows s3a alone, by a JAR that is not there.
        ("s3://bucket/lake", {}, False),
        ("hdfs://host/lake", {"key": "that Spark is not told"}, False),
    ],
)
def test_tasks_read_what_the_jvm_can_not_reach(spark, uri, options, expected):
    assert reaches(spark, uri, options) is expected
