"""A source has grown where what it held is still there; anything else is told."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from gnnscale.lake import SourceSnapshot, find_source, growth_since, take_snapshot

ROWS = pa.table({"id": [1, 2], "name": ["a", "b"]})


def snapshot(path: Path) -> SourceSnapshot:
    taken = take_snapshot(find_source("t", str(path)))
    assert SourceSnapshot.from_dict(taken.to_dict()) == taken
    return taken


def test_new_files_of_a_folder_are_told_and_hidden_ones_are_not_read(tmp_path):
    folder = tmp_path / "days"
    (folder / "day=1").mkdir(parents=True)
    pq.write_table(ROWS, folder / "day=1" / "one.parquet")
    before = snapshot(folder)
    assert growth_since(before, before).files == ()
    for name in ("_SUCCESS", ".two.parquet.crc"):
        (folder / name).write_text("")
    (folder / "aside").mkdir()
    pq.write_table(ROWS, folder / "aside" / "no.parquet")
    assert growth_since(before, snapshot(folder)).files == ()
    (folder / "day=2").mkdir()
    pq.write_table(ROWS, folder / "day=2" / "two.parquet")
    growth = growth_since(before, snapshot(folder))
    assert growth.files == (str(folder / "day=2" / "two.parquet"),) and not growth.obstacle
    pq.write_table(ROWS.slice(1), folder / "day=1" / "one.parquet")
    assert "have changed, such as day=1/one.parquet" in growth_since(before, snapshot(folder)).obstacle
    (folder / "day=1" / "one.parquet").unlink()
    assert "are gone, such as day=1/one.parquet" in growth_since(before, snapshot(folder)).obstacle


@pytest.mark.parametrize(("name", "reason"), [("rows.csv", "CSV file"), ("rows.parquet", "its file has changed")])
def test_a_single_file_that_changed_is_no_growth(tmp_path, name, reason):
    path = tmp_path / name
    path.write_text("id\n1\n")
    before = snapshot(path)
    assert growth_since(before, snapshot(path)).obstacle == ""
    path.write_text("id\n1\n2\n")
    assert reason in growth_since(before, snapshot(path)).obstacle


CHANGES: dict[str, Callable[[str], object]] = {
    "DELETE": lambda uri: DeltaTable(uri).delete("id = 1"),
    "UPDATE": lambda uri: DeltaTable(uri).update({"name": "'c'"}, predicate="id = 1"),
    "WRITE": lambda uri: write_deltalake(uri, ROWS, mode="overwrite"),
}


@pytest.mark.parametrize("operation", CHANGES)
def test_a_delta_table_grows_by_appends_alone(tmp_path, operation):
    uri = str(tmp_path / "rows")
    write_deltalake(uri, ROWS)
    before = snapshot(tmp_path / "rows")
    write_deltalake(uri, ROWS, mode="append")
    growth = growth_since(before, snapshot(tmp_path / "rows"))
    assert len(growth.files) == 1 and pq.read_table(growth.files[0]).num_rows == 2
    CHANGES[operation](uri)
    write_deltalake(uri, ROWS, mode="append")
    growth = growth_since(before, snapshot(tmp_path / "rows"))
    assert growth.obstacle == f"its table has not only grown: version 2 is of {operation}" and not growth.files


def test_another_place_is_no_growth(tmp_path):
    places = []
    for name in ("one", "two"):
        pq.write_table(ROWS, tmp_path / f"{name}.parquet")
        places.append(snapshot(tmp_path / f"{name}.parquet"))
    assert "its source was" in growth_since(*places).obstacle
