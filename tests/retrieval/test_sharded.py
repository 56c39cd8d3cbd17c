"""Shards answer together as one index of all targets does."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnscale.arrays import Ragged
from gnnscale.inference.embedding_rows import vector_rows
from gnnscale.lake import Lake
from gnnscale.retrieval import build_query_indexes, retrieve
from gnnscale.retrieval.index.make_index import build_index
from gnnscale.retrieval.index.metric import Metric
from gnnscale.retrieval.index.recall import exact_neighbors
from gnnscale.retrieval.index.saved import read_manifest
from gnnscale.retrieval.index.setting import IndexSetting
from gnnscale.retrieval.index_shards.index_shard import ShardSource, shard_bounds
from gnnscale.retrieval.index_shards.sharded_search import EveryShard, ShardedIndex, ShardedVectors, Shards
from gnnscale.retrieval.ranking.tower import TargetVectors
from gnnscale.schema import ConfigError, DataError, LakeError
from tests.retrieval.inventory_lake import LATEST, TEST, make_inventory
from tests.retrieval.shards_here import Pool, start_workers_here

ANCHOR = 1_709_000_000


def make_shards(folder: Path, vectors: np.ndarray, sizes: Sequence[int], metric: Metric) -> tuple[Shards, Pool]:
    """Vectors through a lake into shards of such sizes."""
    lake = Lake(folder / "lake")
    lake.write("embeddings_items", vector_rows(np.arange(len(vectors)), ANCHOR, vectors))
    bounds = list(pairwise(accumulate(sizes, initial=0)))
    version = lake.version("embeddings_items")
    pool = Pool([ShardSource(lake, "q", "items", version, ANCHOR, metric, n, *b).read(1) for n, b in enumerate(bounds)])
    return Shards(pool, bounds, vectors.shape[1]), pool


def whole_numbers(rows: int, seed: int) -> np.ndarray:
    """Of few different values, so that sums are exact and ties are many; none is zero."""
    found = np.random.default_rng(seed).integers(-2, 3, (rows, 4)).astype(np.float32)
    found[:, 0] = np.where((found == 0).all(1), 1, found[:, 0])
    return found


def by_definition(vectors: np.ndarray, queries: np.ndarray, k: int, metric: Metric) -> tuple[np.ndarray, np.ndarray]:
    """Best first, ties to the smaller id."""
    scores = exact_neighbors(vectors, queries, len(vectors), metric)
    order = np.lexsort((scores.targets, -scores.scores), axis=1)[:, :k]
    return np.take_along_axis(scores.targets, order, 1), np.take_along_axis(scores.scores, order, 1)


@pytest.mark.parametrize("metric", list(Metric))
def test_flat_shards_find_what_one_index_of_all_does(tmp_path, metric):
    rng = np.random.default_rng(1)
    vectors, queries = (rng.normal(size=(n, 8)).astype(np.float32) for n in (500, 40))
    shards, _ = make_shards(tmp_path, vectors, [200, 7, 293], metric)
    setting = IndexSetting("flat", metric)
    for index in (ShardedIndex.build(shards, setting), EveryShard(shards)):
        # k past the size of a shard.
        for k in (1, 20, 499):
            found, one = index.search(queries, k), build_index(vectors, setting).search(queries, k)
            np.testing.assert_array_equal(found.targets, one.targets)
            np.testing.assert_allclose(found.scores, one.scores, rtol=1e-5, atol=1e-6)
        assert index.search(queries, 600).targets.shape == (40, 500)
        assert index.search(queries[:0], 5).targets.shape == (0, 5)
        assert (index.size, index.channels) == (500, 8)
        with pytest.raises(DataError, match="queries have 3 channels and the index 8"):
            index.search(queries[:, :3], 5)


@pytest.mark.parametrize("metric", [Metric.INNER_PRODUCT, Metric.L2])
def test_equal_scores_go_to_the_smaller_target(tmp_path, metric):
    vectors, queries = whole_numbers(60, 0), whole_numbers(25, 1)
    shards, _ = make_shards(tmp_path, vectors, [20, 1, 19, 20], metric)
    found = ShardedIndex.build(shards, IndexSetting("flat", metric)).search(queries, 60)
    targets, scores = by_definition(vectors, queries, 60, metric)
    np.testing.assert_array_equal(found.targets, targets)
    np.testing.assert_array_equal(found.scores, scores)


def test_a_shard_that_runs_dry_leaves_places_to_the_others(tmp_path):
    rng = np.random.default_rng(2)
    vectors = np.concatenate([rng.normal(size=(90, 4)), rng.normal(size=(10, 4)) - 50]).astype(np.float32)
    shards, _ = make_shards(tmp_path, vectors, [50, 50], Metric.INNER_PRODUCT)
    index = ShardedIndex.build(shards, IndexSetting.of("ivf_flat", nlist=8, nprobe=1, seed=3))
    found = index.search(vectors[:20], 60)
    there = found.targets >= 0
    assert not there.all() and there[:, 0].all()
    assert (np.diff(there.astype(int), axis=1) <= 0).all(), "absent places are at the end"
    assert np.isneginf(found.scores[~there]).all() and np.isfinite(found.scores[there]).all()
    for row, some in zip(found.targets, there, strict=True):
        assert len(set(row[some].tolist())) == some.sum()
    assert (index.with_width(8).search(vectors[:20], 60).targets >= 0).all()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from(list(Metric)))
def test_scores_of_single_targets_are_those_of_the_whole(tmp_path_factory, seed, metric):
    rng = np.random.default_rng(seed)
    vectors, queries = whole_numbers(40, seed), whole_numbers(6, seed + 1)
    shards, pool = make_shards(tmp_path_factory.mktemp("scores"), vectors, [13, 2, 25], metric)
    listed = Ragged.from_lists([rng.permutation(40)[: rng.integers(0, 41)].tolist() for _ in range(6)])
    here, there = TargetVectors(vectors, metric.value), ShardedVectors(shards)
    assert there.shape == here.shape
    expected = here.score_listed(queries, listed)
    np.testing.assert_allclose(there.score_listed(queries, listed), expected, rtol=1e-6, atol=1e-6)
    start, end = sorted(rng.integers(0, 41, 2).tolist())
    for block in (slice(start, end), np.flatnonzero(rng.random(40) < 0.3), *there.blocks(10)):
        scores = here.score_block(queries, block)
        np.testing.assert_allclose(there.score_block(queries, block), scores, rtol=1e-5, atol=1e-5)
    assert sorted(np.concatenate(list(there.blocks(10)))) == list(range(40))
    every = Ragged(np.arange(7) * 40, np.tile(np.arange(40), 6))
    wanted = by_hand(vectors, queries, metric)
    np.testing.assert_allclose(here.score_listed(queries, every).reshape(6, 40), wanted, rtol=1e-5, atol=1e-6)
    before = list(pool.asked)
    there.score_listed(queries, Ragged.from_lists([[14], [], [13], [], [], []]))
    assert [now - then for now, then in zip(pool.asked, before, strict=True)] == [0, 1, 0]


def by_hand(vectors: np.ndarray, queries: np.ndarray, metric: Metric) -> np.ndarray:
    products = queries @ vectors.T
    if metric is Metric.INNER_PRODUCT:
        return products
    squares = [(values**2).sum(1) for values in (queries, vectors)]
    if metric is Metric.L2:
        return 2 * products - squares[0][:, None] - squares[1]
    return (products / np.sqrt(squares[0][:, None] * squares[1])).astype(np.float32)


def test_stretches_are_of_about_equal_length_and_follow_each_other(tmp_path):
    assert shard_bounds(10, 3) == [(0, 3), (3, 6), (6, 10)]
    assert shard_bounds(2, 5) == [(0, 1), (1, 2)]
    for wrong in ([], [(0, 3), (4, 6)], [(1, 3)]):
        with pytest.raises(ConfigError, match="each begins where the one before it ends"):
            Shards(Pool([]), wrong, 4)
    with pytest.raises(DataError, match="lacks node ids or has some twice"):
        make_shards(tmp_path, whole_numbers(10, 0), [6, 5], Metric.L2)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return make_inventory(tmp_path_factory.mktemp("sharded"), 3000, 200)


def answers(inventory, start_workers=None, filters=None, **index):
    configured = inventory.settings(index=index, filters=filters or {})
    build_query_indexes(configured, inventory.lake, inventory.query, [TEST, LATEST], start_workers)
    done = retrieve(configured, inventory.lake, inventory.query, inventory.plan, start_workers=start_workers)
    order = [("entity", "ascending"), ("rank", "ascending")]
    return done, inventory.lake.read("predictions_next_week").sort_by(order)


def test_predictions_do_not_depend_on_the_number_of_shards(small):
    some = {"conditions": [{"column": "stock", "value": 1}]}
    _, one = answers(small, filters=some, kind="flat")
    done, three = answers(small, start_workers_here, some, kind="flat", shards=3)
    assert done.index.shards == (1000, 1000, 1000) and done.recall.mean == done.index.recall.mean == 1
    for column in ("entity", "target", "rank"):
        assert three[column].equals(one[column]), column
    np.testing.assert_allclose(three["score"].to_numpy(), one["score"].to_numpy(), rtol=1e-5)


def test_the_search_is_widened_on_all_shards_until_they_reach_the_recall_together(small):
    done, _ = answers(small, start_workers_here, kind="ivf_flat", nlist=16, recall=0.9, sample=200, shards=3)
    manifest = read_manifest(small.lake, "next_week", LATEST)
    assert manifest == done.index and 1 < manifest.setting.search_width < 16
    assert min(manifest.recall.low, done.recall.mean) >= 0.9
    own = [read_manifest(small.lake, "next_week", LATEST, number) for number in range(3)]
    assert [shard.setting.search_width for shard in own] == [manifest.setting.search_width] * 3
    names = {f"shard-{n}/{name}" for n in range(3) for name in own[n].files}
    assert set(manifest.files) == names and "shard-2/targets.npy" in names
    exact, _ = answers(small, start_workers_here, kind="grouped", nlist=4, recall=1.0, sample=200, shards=2)
    assert exact.index.setting.search_width > 1 and exact.index.recall.mean == exact.recall.mean == 1


def test_shards_need_somebody_to_hold_them(small):
    wanted = small.settings(index={"shards": 2, "kind": "flat"})
    with pytest.raises(ConfigError, match=r"retrieval.index.shards=2 needs Ray"):
        build_query_indexes(wanted, small.lake, small.query, [TEST])
    build_query_indexes(wanted, small.lake, small.query, [TEST, LATEST], start_workers_here)
    with pytest.raises(ConfigError, match="'next_week' is in 2 shards, which need Ray"):
        retrieve(wanted, small.lake, small.query, small.plan)
    folder = Path(small.lake.uri) / "_indexes" / "next_week" / str(TEST) / "shard-1"
    (folder / "index.faiss").write_bytes(b"half")
    with pytest.raises(LakeError, match=r"shard-1/index.faiss is missing or not of"):
        retrieve(wanted, small.lake, small.query, small.plan, start_workers=start_workers_here)
