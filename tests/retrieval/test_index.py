"""Every index answers like exact search, as far as its width reaches."""

import hashlib

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from gnnscale.retrieval.index.faiss_index import FaissIndex
from gnnscale.retrieval.index.grouped.grouped_index import GroupedIndex
from gnnscale.retrieval.index.make_index import build_index
from gnnscale.retrieval.index.metric import Metric
from gnnscale.retrieval.index.recall import Sample, exact_neighbors, measure_recall
from gnnscale.retrieval.index.setting import IndexSetting
from gnnscale.schema import INDEX_KINDS, ConfigError, DataError

K = 7
CLUSTERED = ("grouped", "ivf_flat", "ivf_pq")


def clustered(rows: int, channels: int = 24, seed: int = 0) -> np.ndarray:
    """Vectors around forty centers, of different lengths."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(40, channels))
    found = centers[rng.integers(0, 40, rows)] + 0.4 * rng.normal(size=(rows, channels))
    return (found * rng.uniform(0.7, 1.3, (rows, 1))).astype(np.float32)


def naive(vectors, queries, metric):
    """Scores by the definition, in double precision."""
    vectors, queries = vectors.astype(float), queries.astype(float)
    if metric is Metric.L2:
        return -((queries[:, None] - vectors[None]) ** 2).sum(2)
    if metric is Metric.COSINE:
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    return queries @ vectors.T


def settings():
    for kind in INDEX_KINDS.names():
        for metric in Metric:
            if (kind, metric) != ("grouped", Metric.L2):
                yield kind, metric


@pytest.mark.parametrize(("kind", "metric"), list(settings()))
def test_the_most_thorough_search_finds_what_the_definition_does(kind, metric):
    vectors, queries = clustered(3000), clustered(200, seed=1)
    index = build_index(vectors, IndexSetting.of(kind, metric, nlist=16, codes=12, refine=64, threads=2))
    found = index.with_width(index.setting.most_width).search(queries, K)
    scores = naive(vectors, queries, metric)
    expected = -np.sort(-scores, axis=1)[:, :K]
    right = np.isclose(found.scores, expected, rtol=1e-4, atol=1e-4).mean()
    assert right == 1 if kind != "hnsw" else right > 0.99
    exact = np.take_along_axis(scores, found.targets, 1)
    np.testing.assert_allclose(found.scores, exact, rtol=1e-4, atol=1e-4)
    assert (np.diff(found.scores, axis=1) <= 0).all()
    assert all(len(set(row)) == K for row in found.targets.tolist())


@pytest.mark.parametrize("kind", CLUSTERED)
def test_a_wider_search_finds_more(kind):
    vectors, queries = clustered(4000), clustered(300, seed=1)
    index = build_index(vectors, IndexSetting.of(kind, nlist=64, codes=12, refine=64, threads=2))
    sample = Sample(queries, exact_neighbors(vectors, queries, K, Metric.INNER_PRODUCT))
    found = [sample.recall(index.with_width(width)).mean for width in (1, 4, 16, 64)]
    assert found == sorted(found)
    assert found[0] < 0.9 < found[-1]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("count", [1, 3, 700, 6000])
def test_groups_of_queries_find_what_each_finds_alone(precision, count):
    vectors, queries = clustered(2000), clustered(count, seed=1)
    index = GroupedIndex.build(vectors, IndexSetting.of("grouped", nlist=20, precision=precision, nprobe=20))
    found = index.search(queries, K)
    scores = naive(vectors, queries, Metric.INNER_PRODUCT)
    np.testing.assert_allclose(found.scores, -np.sort(-scores, axis=1)[:, :K], rtol=1e-4, atol=1e-4)


def test_the_grouped_search_does_not_depend_on_threads_or_where_its_arrays_are(tmp_path):
    vectors, queries = clustered(5000), clustered(3000, seed=1)
    setting = IndexSetting.of("grouped", nlist=32, nprobe=2, threads=1)
    one = GroupedIndex.build(vectors, setting).search(queries, K)
    two = GroupedIndex.build(vectors, IndexSetting.of("grouped", nlist=32, nprobe=2, threads=2), tmp_path)
    for index in (two, GroupedIndex(type(two.vectors).open(tmp_path), setting)):
        found = index.search(queries, K)
        np.testing.assert_array_equal(found.targets, one.targets)
        np.testing.assert_array_equal(found.scores, one.scores)


@pytest.mark.parametrize("kind", CLUSTERED)
@pytest.mark.parametrize("rows", [1500, 5000])
def test_what_is_built_does_not_depend_on_the_cores_that_build_it(kind, rows, tmp_path):
    vectors, digests = clustered(rows, 16), []
    before = torch.get_num_threads()
    try:
        for number, (threads, products, tensors) in enumerate([(1, 1, 1), (1, 2, 2), (3, 4, 1), (2, 3, 2)]):
            torch.set_num_threads(tensors)
            folder = tmp_path / str(number)
            folder.mkdir()
            with threadpool_limits(products, user_api="blas"):
                setting = IndexSetting.of(kind, nlist=48, codes=8, threads=threads)
                build_index(vectors, setting, folder).write(folder)
            digests.append({file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()})
    finally:
        torch.set_num_threads(before)
    assert all(digest == digests[0] for digest in digests)


@pytest.mark.parametrize("k", [25, 300, 900])
def test_long_lists_are_in_order_and_ties_go_to_the_smaller_id(k):
    vectors = np.repeat(clustered(300, 8), 4, axis=0)
    index = GroupedIndex.build(vectors, IndexSetting.of("grouped", nlist=5, nprobe=5))
    found = index.search(vectors[:7], k)
    scores = naive(vectors, vectors[:7], Metric.INNER_PRODUCT)
    np.testing.assert_allclose(found.scores, -np.sort(-scores, axis=1)[:, :k], rtol=1e-4, atol=1e-4)
    assert (np.diff(found.scores, axis=1) <= 0).all()
    equal = np.diff(found.scores, axis=1) == 0
    assert equal.sum() > k and (np.diff(found.targets, axis=1)[equal] > 0).all()


def test_a_query_finds_the_same_alone_and_among_many():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(20_000, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = GroupedIndex.build(vectors, IndexSetting.of("grouped", nlist=300, nprobe=12))
    many, alone = index.search(vectors, K), index.search(vectors[::40], K)
    assert (many.targets[::40] == alone.targets).mean() > 0.999
    np.testing.assert_allclose(many.scores[::40], alone.scores, rtol=1e-3, atol=1e-3)


def test_a_zero_query_is_as_near_to_all_and_short_vectors_are_measured_as_long_ones():
    vectors = clustered(2000)
    zero = np.zeros((3, 24), np.float32)
    for lists in (1, 8):
        index = GroupedIndex.build(vectors, IndexSetting.of("grouped", nlist=lists, nprobe=lists))
        assert (index.search(zero, K).targets >= 0).all()
    exact = exact_neighbors(vectors, vectors[:50], 5, Metric.INNER_PRODUCT)
    short = exact_neighbors(vectors * 1e-4, vectors[:50] * 1e-4, 5, Metric.INNER_PRODUCT)
    wrong = type(short)(short.targets, short.scores * np.float32(0.9))
    assert measure_recall(short, short).mean == 1
    assert measure_recall(wrong, short).mean < 1 and exact.targets.shape == short.targets.shape


def test_numbers_too_large_for_their_squares_are_refused_and_tiny_ones_have_a_direction():
    vectors = clustered(300)
    tiny = build_index(vectors * np.float32(1e-24), IndexSetting("flat", Metric.COSINE))
    whole = build_index(vectors, IndexSetting("flat", Metric.COSINE))
    np.testing.assert_array_equal(tiny.search(vectors, 3).targets, whole.search(vectors, 3).targets)
    with pytest.raises(DataError, match=r"numbers of 1e\+16 and more, first in row 0"):
        build_index(vectors * np.float32(1e20), IndexSetting())


@pytest.mark.parametrize("kind", INDEX_KINDS.names())
def test_no_more_targets_than_there_are(kind):
    vectors = clustered(5)
    found = build_index(vectors, IndexSetting.of(kind, nlist=1, codes=12, nprobe=64, ef_search=64)).search(vectors, 9)
    assert found.targets.shape == (5, 5)
    assert (np.sort(found.targets, axis=1) == np.arange(5)).all()
    assert build_index(vectors, IndexSetting.of(kind, nlist=1, codes=12)).search(vectors[:0], 3).targets.shape == (0, 3)


def test_equal_vectors_are_divided_into_lists_and_found():
    vectors = np.concatenate([np.ones((4000, 8), np.float32), clustered(400, 8)])
    index = GroupedIndex.build(vectors, IndexSetting.of("grouped", nlist=40, nprobe=1))
    assert np.diff(index.vectors.bounds).max() <= 440
    assert np.sort(index.vectors.ids).tolist() == list(range(4400))
    found = index.with_width(index.setting.most_width).search(vectors[:1] * 10, 5)
    scores = naive(vectors, vectors[:1] * 10, Metric.INNER_PRODUCT)
    np.testing.assert_allclose(found.scores, -np.sort(-scores, axis=1)[:, :5], rtol=1e-5)


@pytest.mark.parametrize("kind", INDEX_KINDS.names())
def test_vectors_that_have_no_score_are_refused(kind):
    vectors = clustered(300)
    broken = vectors.copy()
    broken[17, 3] = np.nan
    with pytest.raises(
        DataError, match=r"target vectors hold NaN, infinity or numbers of 1e\+16 and more, first in row"
    ):
        build_index(broken, IndexSetting.of(kind, nlist=2, codes=12))
    index = build_index(vectors, IndexSetting.of(kind, Metric.COSINE, nlist=2, codes=12))
    with pytest.raises(DataError, match=r"queries hold NaN, infinity .*, first in row 17"):
        index.search(broken, K)
    zero = vectors.copy()
    zero[4] = 0
    with pytest.raises(DataError, match="1 of 300 queries are zero, such as row 4"):
        index.search(zero, K)
    with pytest.raises(DataError, match="1 of 300 target vectors are zero"):
        build_index(zero, IndexSetting("flat", Metric.COSINE))
    with pytest.raises(DataError, match="queries have 5 channels and the index 24"):
        index.search(np.ones((2, 5), np.float32), K)


def test_an_index_of_nothing_and_settings_out_of_range_are_refused():
    with pytest.raises(DataError, match="no target vectors"):
        build_index(np.zeros((0, 4), np.float32), IndexSetting())
    with pytest.raises(ConfigError, match="'nlist' of index_kind 'grouped' is 0: input should be greater than 0"):
        IndexSetting.of("grouped", nlist=0)
    with pytest.raises(ConfigError, match="'precision' of index_kind 'grouped' is 'int8'"):
        IndexSetting.of("grouped", precision="int8")
    with pytest.raises(ConfigError, match="grouped index has no l2"):
        IndexSetting("grouped", Metric.L2)
    with pytest.raises(ConfigError, match="24 channels can't be divided among 7 codes"):
        FaissIndex.build(clustered(500), IndexSetting.of("ivf_pq", codes=7))


def test_recall_counts_ties_and_says_how_sure_it_is():
    vectors = np.repeat(np.eye(4, dtype=np.float32), 3, axis=0)
    exact = exact_neighbors(vectors, vectors, 2, Metric.INNER_PRODUCT)
    # Another of three equal targets is as good.
    other = type(exact)((exact.targets // 3) * 3 + 2 - exact.targets % 3, exact.scores)
    assert measure_recall(other, exact).mean == 1
    worse = type(exact)(exact.targets, exact.scores - np.float32([0, 0.5]))
    found = measure_recall(worse, exact)
    assert (found.mean, found.queries, found.k) == (0.5, 12, 2)
    # Wilson's interval of 6 in 12, by hand.
    assert (round(found.low, 4), round(found.high, 4)) == (0.2538, 0.7462)
