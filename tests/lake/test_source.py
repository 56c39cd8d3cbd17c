"""A source is found with its format, or the message says what is missing."""

import gzip
import json
import os
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from gnnscale.lake import Source, SourceFormat, column_kinds, count_rows, find_source, read_rows, source_state
from gnnscale.schema import LakeError, ValueKind

ROWS = pa.table({"id": [1, 2], "name": ["a", "b"]})


def place(folder: Path, kind: str) -> Path:
    """Write the rows in one of the ways that they may come."""
    path = folder / kind
    if kind == "rows.csv":
        pyarrow.csv.write_csv(ROWS, path)
    elif kind in ("rows.json", "rows.jsonl.gz"):
        lines = "".join(json.dumps(row) + "\n" for row in ROWS.to_pylist()).encode()
        path.write_bytes(gzip.compress(lines) if path.suffix == ".gz" else lines)
    elif kind == "folder of text":
        path.mkdir()
        (path / "_SUCCESS").touch()
        pyarrow.csv.write_csv(ROWS, path / "part-0.csv")
    elif kind in ("rows.parquet", "rows.dat"):
        pq.write_table(ROWS, path)
    elif kind == "folder":
        path.mkdir()
        pq.write_table(ROWS, path / "part-0.parquet")
    else:
        write_deltalake(str(path), ROWS)
    return path


FORMATS = {
    "rows.csv": SourceFormat.CSV,
    "folder of text": SourceFormat.CSV,
    "rows.json": SourceFormat.JSON,
    "rows.jsonl.gz": SourceFormat.JSON,
    "rows.parquet": SourceFormat.PARQUET,
    "rows.dat": SourceFormat.PARQUET,
    "folder": SourceFormat.PARQUET,
    "delta": SourceFormat.DELTA,
}


@pytest.mark.parametrize("kind", FORMATS)
def test_the_format_is_seen_and_columns_are_named(tmp_path, kind):
    path = place(tmp_path, kind)
    source = find_source("t", str(path))
    assert source == Source(str(path), FORMATS[kind])
    assert find_source("t", f"file://{path}") == source
    assert column_kinds(source) == {"id": ValueKind.NUMBER, "name": ValueKind.TEXT}
    assert read_rows(source).to_pylist() == ROWS.to_pylist()
    assert count_rows(source) in (None, ROWS.num_rows)


KINDS = {
    "whole": (pa.int16(), ValueKind.NUMBER),
    "unsigned": (pa.uint64(), ValueKind.NUMBER),
    "real": (pa.float32(), ValueKind.NUMBER),
    "decimal": (pa.decimal128(12, 2), ValueKind.NUMBER),
    "text": (pa.string(), ValueKind.TEXT),
    "long text": (pa.large_string(), ValueKind.TEXT),
    "coded text": (pa.dictionary(pa.int32(), pa.string()), ValueKind.TEXT),
    "coded number": (pa.dictionary(pa.int32(), pa.int64()), ValueKind.NUMBER),
    "truth": (pa.bool_(), ValueKind.BOOLEAN),
    "day": (pa.date32(), ValueKind.TIME),
    "moment": (pa.timestamp("us"), ValueKind.TIME),
    "moment of a zone": (pa.timestamp("ms", tz="Europe/Berlin"), ValueKind.TIME),
    "bytes": (pa.binary(), ValueKind.OTHER),
    "list": (pa.list_(pa.int64()), ValueKind.OTHER),
    "list of text": (pa.list_(pa.string()), ValueKind.TEXTS),
    "long list of text": (pa.large_list(pa.large_string()), ValueKind.TEXTS),
    "list of coded text": (pa.list_(pa.dictionary(pa.int32(), pa.string())), ValueKind.TEXTS),
    "vector": (pa.list_(pa.float32(), 3), ValueKind.VECTOR),
    "record": (pa.struct({"a": pa.int64()}), ValueKind.OTHER),
}


def test_the_kind_of_every_column_is_seen_without_its_rows(tmp_path):
    pq.write_table(pa.schema([(name, kind) for name, (kind, _) in KINDS.items()]).empty_table(), tmp_path / "t.parquet")
    found = column_kinds(find_source("t", str(tmp_path / "t.parquet")))
    assert found == {name: kind for name, (_, kind) in KINDS.items()}


def test_kinds_of_a_csv_are_those_of_its_words(tmp_path):
    (tmp_path / "t.csv").write_text("n,x,w,t,b,d\n1,1.5,a,2024-01-31 12:00:00,true,2024-01-31\n")
    kinds = column_kinds(find_source("t", str(tmp_path / "t.csv")))
    assert [str(kind) for kind in kinds.values()] == ["number", "number", "text", "time", "boolean", "time"]


def test_a_relative_path_counts_from_the_working_folder(tmp_path, monkeypatch):
    place(tmp_path, "rows.parquet")
    monkeypatch.chdir(tmp_path)
    assert find_source("t", "rows.parquet").uri == str(tmp_path / "rows.parquet")


def test_a_missing_file_is_named_with_its_table(tmp_path):
    with pytest.raises(LakeError, match=f"table 'facts': no file or folder at {tmp_path}/none.parquet"):
        find_source("facts", f"{tmp_path}/none.parquet")
    with pytest.raises(LakeError, match="table 'facts' has no source"):
        find_source("facts", "")


def test_a_missing_package_is_told_with_how_to_install_it():
    with pytest.raises(LakeError, match=r"'no_such_package' is not installed.*pip install no_such_package"):
        find_source("t", "package://no_such_package/data/x.parquet")


def test_a_file_of_a_package_is_found(tmp_path, monkeypatch):
    package = tmp_path / "carrier_of_rows"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").touch()
    place(package / "data", "rows.parquet")
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        found = find_source("t", "package://carrier_of_rows/data/rows.parquet")
        assert list(column_kinds(found)) == ["id", "name"]
        with pytest.raises(LakeError, match=r"no file or folder at .*other.parquet"):
            find_source("t", "package://carrier_of_rows/data/other.parquet")
    finally:
        sys.modules.pop("carrier_of_rows", None)


@pytest.mark.parametrize("kind", ["rows.csv", "rows.parquet", "folder", "delta"])
def test_the_state_changes_when_the_rows_do_and_only_then(tmp_path, kind):
    path = place(tmp_path, kind)
    source = find_source("t", str(path))
    before = source_state(source)
    assert source_state(source) == before
    if kind == "delta":
        write_deltalake(str(path), ROWS, mode="append")
    elif kind == "folder":
        pq.write_table(ROWS, path / "part-1.parquet")
    else:
        os.utime(path, ns=(1, 1))
    assert source_state(source) != before
