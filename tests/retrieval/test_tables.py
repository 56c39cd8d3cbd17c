"""Vectors, pairs, history and rankings pass between lake and arrays as they are, or are refused."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from gnnscale.inference import read_keys
from gnnscale.lake import Lake
from gnnscale.retrieval import PairScores, read_pairs, read_vectors
from gnnscale.retrieval.answers import ranked_table
from gnnscale.retrieval.filters.history import read_history
from gnnscale.retrieval.index.neighbors import Neighbors
from gnnscale.schema import DataError, LakeError
from tests.valid_until import EndingStore, some_ends

ANCHOR = 1_709_000_000
TIMESTAMP = pa.timestamp("us", tz="UTC")


def times(anchor: int, rows: int) -> pa.Array:
    return pa.array([datetime.fromtimestamp(anchor, UTC)] * rows, TIMESTAMP)


def write_vectors(lake: Lake, ids: list[int], vectors: list[list[float]], anchor: int = ANCHOR, mode="append") -> None:
    table = {
        "node_id": ids,
        "anchor_time": times(anchor, len(ids)),
        "vector": pa.array(vectors, pa.list_(pa.float32())),
    }
    lake.write("embeddings_t", pa.table(table), mode=mode)


def test_vectors_come_in_order_of_node_id_at_their_anchor(tmp_path):
    lake = Lake(tmp_path)
    write_vectors(lake, [2, 0], [[2, 2.5], [0, 0.5]])
    write_vectors(lake, [1], [[1, 1.5]])
    write_vectors(lake, [0, 1], [[7, 7], [8, 8]], ANCHOR + 60)
    assert read_vectors(lake, "t", ANCHOR).tolist() == [[0, 0.5], [1, 1.5], [2, 2.5]]
    found = read_vectors(lake, "t", ANCHOR + 60)
    assert found.tolist() == [[7, 7], [8, 8]] and found.dtype == np.float32 and found.flags.c_contiguous


FAULTS = {
    "nan": ([0, 1], [[1, 2], [3, float("nan")]], "the vector of node 1 is not finite"),
    "infinite": ([0, 1], [[float("inf"), 2], [3, 4]], "the vector of node 0 is not finite"),
    "lengths": ([0, 1], [[1, 2], [3]], "vectors of 1 to 2 channels"),
    "missing": ([0, 2], [[1, 2], [3, 4]], "lacks node ids or has some twice"),
    "twice": ([0, 0], [[1, 2], [3, 4]], "lacks node ids or has some twice"),
}


@pytest.mark.parametrize(("ids", "vectors", "says"), FAULTS.values(), ids=FAULTS)
def test_broken_vectors_are_refused(tmp_path, ids, vectors, says):
    write_vectors(Lake(tmp_path), ids, vectors)
    with pytest.raises(DataError, match=f"embeddings_t.*{says}"):
        read_vectors(Lake(tmp_path), "t", ANCHOR)


def test_an_anchor_that_was_not_embedded_is_named(tmp_path):
    write_vectors(Lake(tmp_path), [0], [[1]])
    with pytest.raises(LakeError, match="embeddings_t has no rows of anchor 2024-02-27 02:13:21"):
        read_vectors(Lake(tmp_path), "t", ANCHOR + 1)
    with pytest.raises(LakeError, match="no table 'embeddings_u'"):
        read_vectors(Lake(tmp_path), "u", ANCHOR)


def test_pairs_come_in_order_of_entity(tmp_path):
    lake = Lake(tmp_path)
    for anchor, shift in ((ANCHOR, 0), (ANCHOR + 60, 100)):
        table = {
            "entity": [2, 0, 1],
            "anchor_time": times(anchor, 3),
            "targets": [[5 + shift], [], [9, 3]],
            "scores": pa.array([[0.5], [], [1.5, -1.0]], pa.list_(pa.float32())),
        }
        lake.write("pairs_q", pa.table(table), mode="append")
    pairs = read_pairs(lake, "q", ANCHOR)
    assert isinstance(pairs, PairScores)
    assert pairs.indptr.tolist() == [0, 0, 2, 3] and pairs.counts.tolist() == [0, 2, 1]
    assert pairs.targets.tolist() == [9, 3, 5] and pairs.scores.tolist() == [1.5, -1.0, 0.5]


def test_rankings_are_rows_and_absent_places_make_none():
    found = Neighbors(np.array([[2, 0, -1], [-1, -1, -1], [1, 2, 0]]), np.arange(9, dtype=np.float32).reshape(3, 3))
    table = ranked_table(found, pa.array(["a", "b", "c"]), pa.array([10, 11, 12]), ANCHOR)
    assert table.select(["entity", "target", "rank", "score"]).to_pylist() == [
        {"entity": "a", "target": 12, "rank": 1, "score": 0.0},
        {"entity": "a", "target": 10, "rank": 2, "score": 1.0},
        {"entity": "c", "target": 11, "rank": 1, "score": 6.0},
        {"entity": "c", "target": 12, "rank": 2, "score": 7.0},
        {"entity": "c", "target": 10, "rank": 3, "score": 8.0},
    ]
    assert set(table["anchor_time"].to_pylist()) == {datetime.fromtimestamp(ANCHOR, UTC)}
    assert table.schema.field("rank").type == pa.int32()


def test_keys_are_in_order_of_node_id(shop):
    ids = shop.ids("customers")
    assert read_keys(shop.lake, "customers").to_pylist() == sorted(ids, key=ids.get)


def test_history_is_every_event_up_to_the_anchor(shop, store):
    history = read_history(store, shop.query, shop.plan.test)
    purchases = shop.nodes("purchases").dropna(subset=["fk_customer_id", "fk_product_id"])
    known = purchases[purchases["time"] <= shop.plan.test]
    assert 0 < len(known) < len(purchases)
    expected = zip(
        known["fk_customer_id"].astype(int),
        known["fk_product_id"].astype(int),
        shop.plan.test - known["time"],
        strict=True,
    )
    fields = [getattr(history, name) for name in list(history.__dataclass_fields__)[:3]]
    assert sorted(zip(*(field.tolist() for field in fields), strict=True)) == sorted(expected)


def test_history_leaves_out_targets_that_have_ended(shop, store):
    anchor = shop.plan.test
    relative = anchor - shop.manifest.origin
    ends = some_ends(store, "products", 0, 2 * relative)
    ends[:2] = relative, relative + 1
    history = read_history(EndingStore(store, {"products": ends}), shop.query, anchor)
    whole = read_history(store, shop.query, anchor)
    there = ends[whole.item] > relative
    assert 50 < there.sum() < len(there) - 50
    fields = list(history.__dataclass_fields__)[:3]
    for name in fields:
        np.testing.assert_array_equal(getattr(history, name), getattr(whole, name)[there])
    assert 0 not in history.item and 1 in history.item
