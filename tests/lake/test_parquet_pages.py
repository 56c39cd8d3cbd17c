"""A bit that a disk turned is found when a file is read, and never becomes another row."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs
import pyarrow.parquet as pq
import pytest

from gnnscale.lake import Lake, PartFiles, open_parquet, parquet_batches, parquet_writer, reading, write_parquet
from gnnscale.schema import LakeError

LOCAL = pyarrow.fs.LocalFileSystem()
ROWS = pa.table({"node_id": pa.array(range(60), pa.int64()), "city": ["Rome", "Oslo", "Bern"] * 20})


def by_writer(path: Path) -> None:
    with parquet_writer(path, ROWS.schema, compression="none", use_dictionary=["city"]) as writer:
        writer.write_table(ROWS)


def by_one_call(path: Path) -> None:
    write_parquet(
        ROWS, path, compression="zstd", column_encoding={"node_id": "DELTA_BINARY_PACKED"}, use_dictionary=False
    )


def by_parts(path: Path) -> None:
    PartFiles(Lake(path.parent.parent), path.parent.name, "sweep", "q", "0").write(path.name, ROWS, ["node_id"])


@pytest.mark.parametrize("write", [by_writer, by_one_call, by_parts])
def test_no_turned_bit_of_a_file_makes_other_rows(tmp_path: Path, write) -> None:
    path = tmp_path / "nodes_users" / "part-0.parquet"
    path.parent.mkdir()
    write(path)
    content, bits = path.read_bytes(), np.random.default_rng(0).integers(0, 8, path.stat().st_size)
    told: list[str] = []
    for place, bit in enumerate(bits):
        turned = bytearray(content)
        turned[place] ^= 1 << int(bit)
        path.write_bytes(turned)
        try:
            batches = list(parquet_batches(LOCAL, str(path), ROWS.column_names))
        except LakeError as error:
            told.append(str(error))
        else:
            # Nobody reads the statistics and who wrote the file; text may come as the octets that it is.
            read = pa.Table.from_batches(batches).cast(ROWS.schema)
            assert read.to_pydict() == ROWS.to_pydict(), place
    pages = pq.ParquetFile(pa.BufferReader(content)).metadata.row_group(0)
    assert all("of table 'nodes_users' can't be read, or is damaged" in text and "\n" not in text for text in told)
    assert len(told) >= sum(pages.column(i).total_compressed_size for i in range(2)) - 120


def test_a_column_that_a_file_lacks_and_a_file_that_is_gone_are_told(tmp_path: Path) -> None:
    write_parquet(ROWS, tmp_path / "a.parquet")
    with pytest.raises(LakeError, match=rf"file a\.parquet of table '{tmp_path.name}'.*no column time"):
        list(parquet_batches(LOCAL, str(tmp_path / "a.parquet"), ["node_id", "time"]))
    with pytest.raises(LakeError, match=r"file b\.parquet of table 'edges'"), open_parquet(LOCAL, "b.parquet", "edges"):
        pass


def anchored(lake: Lake) -> pa.Table:
    """A table of embeddings as ``Lake.write`` writes it, some rows of each of three anchors."""
    times = pa.array([0, 1_000_000, 2_000_000], pa.timestamp("us", "UTC")).take(pa.array([0, 1, 2] * 20))
    rows = pa.table({"node_id": ROWS["node_id"], "anchor_time": times, "city": ROWS["city"]})
    lake.write("embeddings_users", rows)
    return rows


def test_no_turned_bit_makes_other_rows_of_a_table_that_is_read_whole_or_in_part(tmp_path: Path) -> None:
    """The bounds in a footer, which has no checksum, leave no row out."""
    lake = Lake(tmp_path / "lake")
    rows = anchored(lake)
    wanted = ds.field("anchor_time") == pa.scalar(1_000_000, pa.timestamp("us", "UTC"))
    kept = rows.filter(wanted).to_pydict()
    (path,) = Path(lake.table_uri("embeddings_users")).glob("*.parquet")
    content, bits = path.read_bytes(), np.random.default_rng(0).integers(0, 8, path.stat().st_size)
    told = dict.fromkeys(("whole", "part"), 0)
    # Every fourth octet, for time's sake.
    for place, bit in list(enumerate(bits))[::4]:
        turned = bytearray(content)
        turned[place] ^= 1 << int(bit)
        path.write_bytes(turned)
        for how in told:
            try:
                if how == "whole":
                    assert lake.read("embeddings_users").to_pydict() == rows.to_pydict(), place
                else:
                    found = list(lake.batches("embeddings_users", rows.column_names, wanted))
                    assert pa.Table.from_batches(found, rows.schema).to_pydict() == kept, place
            except LakeError:
                told[how] += 1
    assert min(told.values()) > len(content) // 16


def test_columns_get_the_types_that_tables_of_a_lake_have(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    columns = {
        "seconds": (pa.array([1, None], pa.timestamp("s", "UTC")), pa.timestamp("us", "UTC")),
        "nanoseconds": (pa.array([1, 2_000], pa.timestamp("ns")), pa.timestamp("us")),
        "words": (pa.array(["a", "b"]).dictionary_encode(), pa.string()),
        "large": (pa.array(["a", None], pa.large_string()), pa.string()),
        "bytes": (pa.array([200, 1], pa.uint8()), pa.int16()),
        "vectors": (pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2)), pa.list_(pa.float32())),
        "nothing": (pa.nulls(2), pa.string()),
    }
    rows = pa.table({name: array for name, (array, _) in columns.items()})
    lake.write("t", rows)
    found = lake.read("t")
    for name, (array, kind) in columns.items():
        assert found[name].type == kind or (name == "vectors" and found[name].type.value_type == pa.float32())
        if name != "nanoseconds":
            assert found[name].to_pylist() == array.to_pylist()
    assert found["nanoseconds"].cast(pa.int64()).to_pylist() == [1, 2]
    with pytest.raises(LakeError, match="column 'd' is of type duration"):
        lake.write("t", pa.table({"d": pa.array([1], pa.duration("s"))}))


def test_errors_of_the_machine_are_none_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left"), reading("t", "a.parquet"):
        raise OSError(errno.ENOSPC, "No space left on device")
    with (
        pytest.raises(LakeError, match=r"file a\.parquet of table 't' can't be read: .*denied$"),
        reading("t", "a.parquet"),
    ):
        raise PermissionError(errno.EACCES, "permission denied")
    with pytest.raises(LakeError, match=r"a file of table 't' can't be read, or is damaged: .*--force"), reading("t"):
        raise OSError("could not verify page integrity")


def test_rows_are_written_in_groups_and_read_again(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    schema = pa.schema({"a": pa.int64()})
    parts = [pa.record_batch([pa.array(range(start, start + 50_000))], schema) for start in range(0, 400_000, 50_000)]
    lake.write("t", pa.RecordBatchReader.from_batches(schema, parts))
    (path,) = Path(lake.table_uri("t")).glob("*.parquet")
    footer = pq.read_metadata(path)
    assert footer.num_row_groups == 3 and footer.num_rows == 400_000
    assert lake.read("t")["a"].to_pylist() == list(range(400_000))
    assert sum(batch.num_rows for batch in lake.batches("t", ["a"], ds.field("a") < 7)) == 7
    lake.write("t", pa.table({"a": pa.array([], pa.int64())}))
    assert lake.read("t").num_rows == 0 and lake.version("t") == 1
