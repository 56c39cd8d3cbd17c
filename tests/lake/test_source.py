"""A source is found with its format, or the message says what is missing."""

import os
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from gnnscale.lake import Source, SourceFormat, column_names, find_source, source_state
from gnnscale.schema import LakeError

ROWS = pa.table({"id": [1, 2], "name": ["a", "b"]})


def place(folder: Path, kind: str) -> Path:
    """Write the rows in one of the ways that they may come."""
    path = folder / kind
    if kind == "rows.csv":
        pyarrow.csv.write_csv(ROWS, path)
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
    assert column_names(source) == ["id", "name"]


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
        assert column_names(found) == ["id", "name"]
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
