"""A bit that a disk turned is found when a file is read, and never becomes another row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest

from gnnscale.lake import Lake, PartFiles, open_parquet, parquet_batches, parquet_writer, write_parquet
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
