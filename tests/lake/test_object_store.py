"""A lake in an S3-compatible store: all that a lake is asked for, two writers at once, and one that is killed."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from gnnscale.lake import Lake
from gnnscale.schema import LakeError
from tests.object_store import ObjectStore, object_store

APPENDS = 6


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with object_store() as store:
        yield store


@pytest.fixture
def lake(store: ObjectStore, request: pytest.FixtureRequest) -> Lake:
    return Lake(store.uri(request.node.name), store.options)


def test_tables_records_and_folders(lake: Lake, tmp_path: Path) -> None:
    assert lake.tables() == [] and lake.read_record("none") is None and not lake.local
    assert lake.write("t", pa.table({"a": [1, 2]})) == 0
    assert lake.write("t", pa.table({"a": [3]}), mode="append") == 1
    assert lake.tables() == ["t"] and sorted(lake.read("t")["a"].to_pylist()) == [1, 2, 3]
    assert lake.read("t", version=0).num_rows == 2
    with pytest.raises(LakeError, match="no table 'tt'"):
        lake.read("tt")
    for value in (1, 2):
        lake.write_record("r", {"value": value})
        assert lake.read_record("r") == {"value": value}
    assert lake.write_bytes("_reports/a.html", b"page") == f"{lake.uri}/_reports/a.html"
    assert lake.read_bytes("_reports/a.html") == b"page"
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep/weights").write_bytes(b"12345")
    lake.put_folder(folder, "_models/m")
    assert not folder.exists() and lake.has_file("_models/m/deep/weights")
    assert lake.file_sizes("_models") == {"m/deep/weights": 5}
    assert (lake.get_folder("_models/m", tmp_path / "back") / "deep/weights").read_bytes() == b"12345"
    lake.remove_folder("_models/m")
    assert lake.file_sizes("_models") == {}


def test_two_writers_at_once_lose_no_rows(lake: Lake) -> None:
    lake.write("t", pa.table({"writer": [-1], "row": [0]}))
    start = threading.Barrier(2)

    def write(writer: int) -> None:
        own = Lake(lake.uri, lake.storage_options)
        start.wait()
        for row in range(APPENDS):
            own.write("t", pa.table({"writer": [writer], "row": [row]}), mode="append")

    writers = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    found = lake.read("t").to_pydict()
    expected = {(-1, 0), *((writer, row) for writer in range(2) for row in range(APPENDS))}
    assert set(zip(found["writer"], found["row"], strict=True)) == expected
    assert lake.version("t") == 2 * APPENDS and len(found["row"]) == len(expected)


WRITER = """
import json, sys
import pyarrow as pa
from gnnscale.lake import Lake

schema = pa.schema({"a": pa.int64()})

def batches():
    number = 0
    while True:
        yield pa.record_batch([pa.array(range(50_000))], schema=schema)
        number += 1
        print(number, flush=True)

rows = pa.RecordBatchReader.from_batches(schema, batches())
Lake(sys.argv[1], json.loads(sys.argv[2])).write("t", rows, mode="append")
"""


def test_a_writer_that_is_killed_before_its_commit_leaves_no_trace(lake: Lake) -> None:
    lake.write("t", pa.table({"a": [1, 2]}))
    command = [sys.executable, "-c", WRITER, lake.uri, json.dumps(lake.storage_options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) == 5:
                break
        writer.kill()
    assert writer.returncode == -9
    assert lake.version("t") == 0 and lake.read("t")["a"].to_pylist() == [1, 2]
    assert lake.write("t", pa.table({"a": [3]}), mode="append") == 1


def test_files_without_a_commit_are_not_read(lake: Lake) -> None:
    """What a writer of Spark's that is killed between its tasks and its commit leaves behind."""
    lake.write("t", pa.table({"a": [1, 2]}))
    (part,) = [name for name in lake.file_sizes("t") if name.endswith(".parquet")]
    content = lake.read_bytes(f"t/{part}")
    assert content is not None
    lake.write_bytes("t/part-left.parquet", content)
    assert lake.read("t").num_rows == 2 and lake.write("t", pa.table({"a": [3]}), mode="append") == 1
    assert lake.read("t").num_rows == 3
