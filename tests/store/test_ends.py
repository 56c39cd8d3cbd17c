"""Ends of rows come from the lake into memory, and say which rows are there."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from gnnscale.lake import Lake
from gnnscale.schema import GraphManifest
from gnnscale.store import ALWAYS, GraphStore
from gnnscale.store.features import NEVER, NodeFeatures, write_features

YEAR_9999 = 253_402_300_799


def opened(folder, times: list[int | None], ends: list[int | None] | None, manifest: GraphManifest) -> NodeFeatures:
    """The campaigns with other times and ends."""
    table = replace(manifest.table("campaigns"), rows=len(times), features=(), has_end=ends is not None)
    columns = {"node_id": list(range(len(times))), "time": pa.array(times, pa.int64())}
    if ends is not None:
        columns["end_time"] = pa.array(ends, pa.int64())
    # Out of order and in pieces, as files may come.
    rows = pa.table(columns).take(np.arange(len(times))[::-1]).combine_chunks()
    write_features(folder, iter(rows.to_batches(max_chunksize=2)), table, manifest.origin)
    return NodeFeatures.open(folder)


def test_ends_count_from_the_origin_and_open_ones_never_come(shop, tmp_path):
    origin = shop.manifest.origin
    ends = [origin + 5, None, origin - 3, YEAR_9999, -(10**12)]
    features = opened(tmp_path, [origin] * 5, ends, shop.manifest)
    assert features.valid_until is not None
    assert features.valid_until.tolist() == [5, NEVER, -3, NEVER, ALWAYS]
    assert features.valid_until.dtype == np.int32 and isinstance(features.valid_until, np.memmap)


def test_tables_whose_rows_do_not_end_have_no_ends(shop, store, tmp_path):
    assert opened(tmp_path, [shop.manifest.origin], None, shop.manifest).valid_until is None
    assert all(store.features(table.name).valid_until is None for table in shop.manifest.tables)
    assert not list(store.folder.rglob("valid_until.npy"))


def test_a_row_is_there_from_its_time_until_its_end(shop, tmp_path):
    origin = shop.manifest.origin
    times, ends = [origin + 10, None, origin + 10, None], [origin + 20, origin + 20, None, None]
    features = opened(tmp_path, times, ends, shop.manifest)
    nodes = np.arange(4)
    table = {9: [0, 1, 0, 1], 10: [1, 1, 1, 1], 19: [1, 1, 1, 1], 20: [0, 0, 1, 1], 10**9: [0, 0, 1, 1]}
    for anchor, valid in table.items():
        assert features.is_valid_at(nodes, anchor).tolist() == [bool(a) for a in valid]
    # One anchor for each node, and several anchors for all.
    assert features.is_valid_at(np.array([0, 0, 2]), np.array([9, 19, 20])).tolist() == [False, True, True]
    assert features.is_valid_at(nodes, np.array([[9], [20]])).tolist() == [
        [False, True, False, True],
        [False, False, True, True],
    ]
    endless = replace(features, valid_until=None)
    assert endless.is_valid_at(nodes, 25).all() and endless.is_valid_at(nodes, 9).tolist() == [False, True, False, True]


@pytest.mark.parametrize("with_ends", [True, False])
def test_a_store_reads_the_ends_of_its_lake(shop, tmp_path, with_ends):
    lake = Lake(tmp_path / "lake")
    tables = []
    for table in shop.manifest.tables:
        rows = shop.lake.read(f"nodes_{table.name}")
        ends = with_ends and table.name == "products"
        if ends:
            until = [None if i % 3 else shop.manifest.origin + i for i in rows["node_id"].to_pylist()]
            rows = rows.append_column("end_time", pa.array(until, pa.int64()))
        lake.write(f"nodes_{table.name}", rows)
        tables.append(replace(table, version=0, has_end=ends))
    manifest = replace(shop.manifest, tables=tuple(tables), links=())
    lake.write_record("graph", manifest.to_dict())
    features = GraphStore.open(lake).features("products")
    if with_ends:
        assert features.valid_until is not None
        assert features.valid_until.tolist() == [NEVER if i % 3 else i for i in range(len(features.valid_until))]
    else:
        assert features.valid_until is None
