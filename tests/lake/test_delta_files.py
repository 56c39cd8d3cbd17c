"""Files that are written first and committed later, in a local folder and through delta-rs's own file system."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from gnnscale.lake.delta_files import WrittenFile, commit_files, open_folder, remove_strays
from gnnscale.schema import LakeError

ROWS = pa.table({"id": list(range(50_000)), "name": [f"n{i % 97}" for i in range(50_000)]})


@pytest.fixture(params=["folder", "uri"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    # An object store is reached as the URI is.
    return str(tmp_path) if request.param == "folder" else tmp_path.as_uri()


def write(root: str, name: str, rows: pa.Table) -> WrittenFile:
    filesystem, before = open_folder(root, {}, make=True)
    with filesystem.open_output_stream(before + name) as sink:
        pq.write_table(rows, sink)
    size = filesystem.get_file_info(before + name).size
    ids = rows["id"].to_pylist()
    return WrittenFile(name, size, rows.num_rows, {"id": ids[0]}, {"id": ids[-1]})


def test_files_become_a_table_in_one_commit(root: str) -> None:
    files = [write(root, f"part-{i}.parquet", ROWS.slice(i * 25_000, 25_000)) for i in range(2)]
    assert not DeltaTable.is_deltatable(root)
    assert commit_files(root, ROWS.schema, files, "overwrite", {}, {"by": "test"}) == 0
    table = DeltaTable(root)
    assert table.to_pyarrow_table().sort_by("id").equals(ROWS)
    actions = pa.table(table.get_add_actions(flatten=True)).sort_by("path")
    assert actions["min.id"].to_pylist() == [0, 25_000] and actions["max.id"].to_pylist() == [24_999, 49_999]
    assert table.history(1)[0]["by"] == "test"

    more = write(root, "part-2.parquet", ROWS.slice(0, 3))
    assert commit_files(root, ROWS.schema, [more], "append", {}) == 1
    other = write(root, "part-3.parquet", ROWS.slice(7, 2))
    assert commit_files(root, ROWS.schema, [other], "overwrite", {}) == 2
    assert DeltaTable(root).to_pyarrow_table()["id"].to_pylist() == [7, 8]
    with pytest.raises(LakeError, match="its columns are"):
        commit_files(root, ROWS.select(["id"]).schema, [more], "append", {})


def test_only_what_a_job_left_uncommitted_is_removed(root: str, tmp_path: Path) -> None:
    for name in ("part-0-job-a.parquet", "part-1-job-b.parquet", "part-2-other-a.parquet"):
        write(root, name, ROWS.slice(0, 1))
    remove_strays(root, {}, "job", {"part-1-job-b.parquet"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["part-1-job-b.parquet", "part-2-other-a.parquet"]
