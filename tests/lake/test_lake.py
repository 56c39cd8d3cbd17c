"""Tables and records are committed whole, kept by version, and refused where they would be read wrong."""

import json
import os
import shutil
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from deltalake import DeltaTable, write_deltalake

from gnnscale.lake import Lake, check_readable, find_source, read_rows
from gnnscale.lake.delta_log import logged_commits
from gnnscale.schema import LakeError


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake."""
    return Lake(tmp_path / "a lake")


NUMBERS = pa.table({"x": [1, 2, 3], "y": ["a", None, "c"], "z": [[1], [], [2, 3]]})


def test_what_is_written_is_read_back(lake):
    assert not lake.exists("numbers")
    assert lake.write("numbers", NUMBERS) == 0
    assert lake.exists("numbers") and lake.tables() == ["numbers"]
    assert lake.read("numbers").to_pydict() == NUMBERS.to_pydict()
    assert lake.read("numbers", columns=["y"]).to_pydict() == {"y": ["a", None, "c"]}


def test_batches_are_written_as_a_table_is(lake):
    lake.write("numbers", NUMBERS.to_reader(max_chunksize=1))
    assert lake.read("numbers").sort_by("x").to_pydict() == NUMBERS.to_pydict()


@pytest.mark.parametrize("folder", ["plain", "a #1 lake", "a?b"])
def test_commits_are_known_wherever_the_lake_is(tmp_path, folder):
    lake = Lake(tmp_path / folder)
    for rows in (1, 2, 3):
        lake.write("numbers", NUMBERS.slice(0, rows))
    found, plain = lake.history("numbers"), lake.open("numbers").history()
    assert [entry["version"] for entry in found] == [2, 1, 0] and all(entry["operation"] for entry in found)
    # delta-rs sees none under some paths; what it sees elsewhere is what the log says.
    assert not plain or found == plain == logged_commits(tmp_path / folder / "numbers" / "_delta_log")
    assert lake.history("numbers", 1) == found[:1]


def test_an_overwrite_may_have_other_columns_and_leaves_the_old_version(lake):
    lake.write("numbers", NUMBERS)
    assert lake.write("numbers", pa.table({"other": [1.5]})) == 1
    assert lake.read("numbers").to_pydict() == {"other": [1.5]}
    assert lake.read("numbers", version=0).to_pydict() == NUMBERS.to_pydict()
    assert lake.version("numbers") == 1


def test_files_that_no_version_has_needed_for_long_are_removed(lake):
    for value in (1, 2):
        lake.write("t", pa.table({"a": [value]}))
    assert lake.vacuum("t", 7) == 0 and lake.read("t", version=0)["a"].to_pylist() == [1]
    assert lake.vacuum("t", 0) == 1 and lake.read("t")["a"].to_pylist() == [2]
    # What nobody has committed goes when it is old, for until then a run may be about to.
    for name, days in (("left.parquet", 9), ("new.parquet", 0)):
        (place := Path(lake.table_uri("t")) / name).write_bytes(b"1")
        os.utime(place, (time.time() - days * 86_400,) * 2)
    assert lake.vacuum("t", 7) == 1 and lake.read("t")["a"].to_pylist() == [2]
    assert (Path(lake.table_uri("t")) / "new.parquet").exists()


def test_an_append_adds_rows(lake):
    lake.write("numbers", NUMBERS)
    assert lake.write("numbers", NUMBERS, mode="append") == 1
    assert sorted(lake.read("numbers")["x"].to_pylist()) == [1, 1, 2, 2, 3, 3]


def test_an_append_to_columns_without_nulls_is_of_such(lake):
    schema = pa.schema([pa.field("x", pa.int64(), nullable=False), pa.field("y", pa.string())])
    lake.write("t", pa.table({"x": [1], "y": [None]}, schema))
    lake.write("t", lake.read("t"), mode="append")
    assert lake.read("t").num_rows == 2 and not lake.open("t").schema().fields[0].nullable
    with pytest.raises(LakeError, match="can't append"):
        lake.write(
            "t", pa.table({"x": [None], "y": ["a"]}, pa.schema([("x", pa.int64()), ("y", pa.string())])), "append"
        )


def test_metadata_stays_with_the_commit(lake):
    lake.write("numbers", NUMBERS, metadata={"query": "q"})
    assert lake.open("numbers").history(1)[0]["query"] == "q"


def test_a_partitioned_table_is_read_whole(lake):
    write_deltalake(lake.table_uri("numbers"), NUMBERS.select(["x", "y"]), partition_by=["x"])
    found = [batch.to_pydict() for batch in lake.batches("numbers", ["y", "x"], ds.field("x") == 2)]
    assert found == [{"y": NUMBERS["y"].to_pylist()[1:2], "x": [2]}]
    assert lake.read("numbers").sort_by("x").select(["x", "y"]).to_pydict() == NUMBERS.select(["x", "y"]).to_pydict()


def test_a_missing_table_names_the_nearest(lake):
    with pytest.raises(LakeError, match="no table 'numbers' in lake"):
        lake.read("numbers")
    lake.write("numbers", NUMBERS)
    with pytest.raises(LakeError, match=r"no table 'number' in lake .*Did you mean 'numbers'"):
        lake.version("number")


def test_a_missing_version_is_a_lake_error(lake):
    lake.write("numbers", NUMBERS)
    with pytest.raises(LakeError, match="numbers"):
        lake.read("numbers", version=99)


def test_a_lake_is_where_its_path_or_file_uri_says(tmp_path):
    assert Lake(tmp_path).uri == Lake(str(tmp_path)).uri == Lake(f"file://{tmp_path}").uri == str(tmp_path)
    assert Lake(tmp_path).local and not Lake("s3://bucket/lake/").local
    assert Lake("s3://bucket/lake/").table_uri("t") == "s3://bucket/lake/t"


def test_a_lake_that_is_not_there_has_no_tables(tmp_path):
    lake = Lake(tmp_path / "none")
    assert lake.tables() == [] and not lake.exists("a") and lake.read_record("a") is None
    assert not (tmp_path / "none").exists()


def test_records_are_replaced_whole(lake):
    assert lake.read_record("r") is None
    lake.write_record("r", {"a": list(range(1000))})
    lake.write_record("r", {"b": 1})
    assert lake.read_record("r") == {"b": 1}
    assert [p.name for p in Path(lake.uri, "_records").iterdir()] == ["r.json"]


@pytest.mark.parametrize("content", [b"", b'{"a": ', b"[1]", b"\xff"])
def test_a_broken_record_is_named(lake, content):
    lake.write_record("graph", {})
    Path(lake.uri, "_records", "graph.json").write_bytes(content)
    with pytest.raises(LakeError, match=r"^record .*/_records/graph\.json is broken: .*; remove it"):
        lake.read_record("graph")


def test_a_turned_bit_of_a_record_is_noticed(lake):
    record = {"mean": 1.25, "names": ["a", "é"], "by": {10: 1, 9: float("nan")}, "none": None}
    lake.write_record("graph", record)
    path = Path(lake.uri, "_records", "graph.json")
    content = path.read_bytes()
    found = lake.read_record("graph")
    assert {**found, "by": str(found["by"])} == {**record, "by": str({"10": 1, "9": float("nan")})}
    told = 0
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 2
        path.write_bytes(changed)
        try:
            other = lake.read_record("graph")
        except LakeError:
            told += 1
        else:
            # White space, or the name of the checksum, which is a key of nobody's then.
            assert {key: str(value) for key, value in other.items() if key in record} == {
                key: str(value) for key, value in found.items()
            }
    assert told > len(content) / 2
    path.write_bytes(content.replace(b"1.25", b"1.24"))
    with pytest.raises(LakeError, match=r"graph.json is broken: it is not what was written; remove it"):
        lake.read_record("graph")
    # A record of a version that wrote no checksum is taken as it is.
    path.write_text('{"a": 1}')
    assert lake.read_record("graph") == {"a": 1}


def test_a_record_that_cannot_be_written_leaves_the_old_one(lake):
    lake.write_record("r", {"a": 1})
    with pytest.raises(TypeError):
        lake.write_record("r", {"a": object()})
    assert lake.read_record("r") == {"a": 1}
    # A writer that was stopped half-way leaves its part under another name.
    Path(lake.uri, "_records", "r.json.new").write_text('{"a": ')
    assert lake.read_record("r") == {"a": 1}


def test_bytes_are_kept_at_their_path(lake):
    assert lake.read_bytes("_models/q/model.pt") is None
    path = lake.write_bytes("_models/q/model.pt", b"\x00\x01")
    assert lake.read_bytes("_models/q/model.pt") == Path(path).read_bytes() == b"\x00\x01"


def test_the_lake_lists_tables_only(lake):
    lake.write("numbers", NUMBERS)
    lake.write_record("r", {})
    lake.write_bytes("_reports/q.html", b"")
    assert lake.tables() == ["numbers"]


def test_a_table_whose_columns_have_other_names_in_its_files_is_refused(lake):
    mapped = {"delta.columnMapping.mode": "name", "delta.minReaderVersion": "2", "delta.minWriterVersion": "5"}
    write_deltalake(lake.table_uri("t"), NUMBERS.select(["x"]), configuration=mapped)
    for read in (lake.open, lake.version, lake.read):
        with pytest.raises(LakeError, match="'t' uses columnMapping"):
            read("t")


def rewrite_log(lake: Lake, table: str, protocol: dict, **configuration: str) -> None:
    """Give a table's only commit another protocol, as another engine would have written it."""
    log = Path(lake.table_uri(table), "_delta_log", "00000000000000000000.json")
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        if "protocol" in action:
            action["protocol"] = protocol
        if "metaData" in action:
            action["metaData"]["configuration"] = configuration
            schema = json.loads(action["metaData"]["schemaString"])
            for number, column in enumerate(schema["fields"], start=1):
                column["metadata"] = {
                    "delta.columnMapping.id": number,
                    "delta.columnMapping.physicalName": column["name"],
                }
            action["metaData"]["schemaString"] = json.dumps(schema)
    log.write_text("\n".join(json.dumps(action) for action in actions) + "\n")


def test_deletion_vectors_are_refused_where_they_delete_rows(lake):
    write_deltalake(lake.table_uri("t"), NUMBERS.select(["x"]), configuration={"delta.enableDeletionVectors": "true"})
    assert read_rows(find_source("t", lake.table_uri("t"))).num_rows == 3
    log = Path(lake.table_uri("t"), "_delta_log", "00000000000000000000.json")
    deleted = {
        "storageType": "i",
        "pathOrInlineDv": "wi5b=000010000siXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L",
        "sizeInBytes": 40,
        "cardinality": 6,
    }
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        if "add" in action:
            action["add"]["deletionVector"] = deleted
    log.write_text("\n".join(map(json.dumps, actions)) + "\n")
    for read in (lake.open, lake.version, lake.read):
        with pytest.raises(LakeError, match="'t' uses deletionVectors"):
            read("t")


def test_column_mapping_of_an_old_protocol_is_refused(lake):
    lake.write("t", NUMBERS.select(["x"]))
    rewrite_log(lake, "t", {"minReaderVersion": 2, "minWriterVersion": 5}, **{"delta.columnMapping.mode": "name"})
    with pytest.raises(LakeError, match="columnMapping"):
        lake.open("t")


def test_a_feature_that_is_only_allowed_and_not_in_use_is_no_fault(lake):
    lake.write("t", NUMBERS.select(["x"]))
    features = ["columnMapping"]
    rewrite_log(
        lake,
        "t",
        {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features},
    )
    check_readable(lake.open("t"), "t")


def test_a_table_can_be_read_after_its_folder_moves(lake, tmp_path):
    lake.write("t", NUMBERS)
    shutil.move(lake.uri, tmp_path / "moved")
    assert Lake(tmp_path / "moved").read("t").num_rows == 3
    assert DeltaTable.is_deltatable(str(tmp_path / "moved" / "t"))


@pytest.mark.parametrize("damage", [lambda content: content[:100], lambda content: b"", lambda content: b"x" * 400])
def test_a_damaged_file_of_a_table_is_told_in_a_line(tmp_path, damage):
    lake = Lake(tmp_path / "lake")
    lake.write("ids_pets", pa.table({"key": list(range(1000))}))
    (file,) = (tmp_path / "lake" / "ids_pets").glob("*.parquet")
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(LakeError, match=r"a file of table 'ids_pets' can't be read.*--force") as caught:
        lake.read("ids_pets")
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)
