"""Records name places in a lake by their path under its root, hold no secret, and say when they are damaged."""

import shutil
from pathlib import Path

import pytest

from gnnscale.lake import Lake, from_portable, to_portable
from gnnscale.schema import LakeError


def test_places_in_a_lake_follow_it_and_others_stay(tmp_path: Path) -> None:
    before, after = Lake(tmp_path / "lake"), Lake(tmp_path / "moved")
    inside, beside = f"{before.uri}/_sources/t.parquet", f"{before.uri}2/t.parquet"
    kept = to_portable(before, {"tables": [{"source": inside}, {"source": beside}, {"rows": 3}]})
    assert kept == {"tables": [{"source": "lake://_sources/t.parquet"}, {"source": beside}, {"rows": 3}]}
    found = from_portable(after, kept)["tables"]
    assert [table.get("source") for table in found] == [f"{after.uri}/_sources/t.parquet", beside, None]


def test_records_hold_no_secret(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.write_record("r", {"source": "s3://key:pass@bucket/x", "spark": {"conf": {"a.password": "pass"}}})
    assert b"pass@" not in lake.read_bytes("_records/r.json")
    assert lake.read_record("r") == {"source": "s3://key:***@bucket/x", "spark": {"conf": {"a.password": "***"}}}


@pytest.mark.parametrize("content", [b"{", b"", b"[1]", b"\xff"])
def test_a_damaged_record_is_named(tmp_path: Path, content: bytes) -> None:
    lake = Lake(tmp_path)
    lake.write_bytes("_records/graph.json", content)
    with pytest.raises(LakeError, match=r"graph\.json is broken"):
        lake.read_record("graph")


def test_arrays_in_a_lake_that_was_moved_are_found_again(tmp_path: Path) -> None:
    from gnnscale.arrays import name_folder

    names = set()
    for folder in ("lake", "moved"):
        lake = Lake(tmp_path / folder)
        names.add(name_folder(lake.cache_folder(), "graph", lake.uri, "content").name)
    assert len(names) == 1
    # One cache beside several lakes tells them apart.
    shared = {name_folder(tmp_path / "cache", "graph", str(tmp_path / lake), "content").name for lake in "ab"}
    assert len(shared) == 2
    shutil.rmtree(tmp_path)
