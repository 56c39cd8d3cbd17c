"""Filters and caps come before ranking: lists are those of brute force over the allowed targets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnscale.arrays import Ragged
from gnnscale.retrieval import PairScores
from gnnscale.retrieval.filters.allow_lists import AllowLists
from gnnscale.retrieval.filters.diversity import Diversity
from gnnscale.retrieval.filters.filter import Filter
from gnnscale.retrieval.index.flat_index import FlatIndex
from gnnscale.retrieval.ranking.allowed_search import AllowedSearch
from gnnscale.retrieval.ranking.merge import search_merged
from gnnscale.retrieval.ranking.tower import TargetVectors
from gnnscale.schema import ConfigError, DataError
from tests.retrieval.ranking_cases import ClusteredIndex, DistanceIndex, as_lists, make_inventory

seeds = st.integers(0, 10**6)
categories = st.sampled_from(["any", "only", "others"])
caps = st.none() | st.integers(1, 3)


@settings(deadline=None, max_examples=300)
@given(
    seeds,
    st.integers(1, 5),
    st.integers(1, 60) | st.just(300),
    categories,
    caps,
    st.booleans(),
    st.booleans(),
    st.data(),
)
def test_search_equals_brute_force_over_what_is_allowed(seed, entities, targets, category, cap, vectors, paired, data):
    case = make_inventory(seed, entities, targets, category, paired)
    rows = np.array(data.draw(st.lists(st.integers(0, entities - 1), max_size=6)), np.int64)
    k, depth = data.draw(st.integers(1, 70)), data.draw(st.integers(1, 70))
    search = case.search(cap, vectors, threads=data.draw(st.integers(1, 2)))
    found = search.search(case.queries[rows], rows, k, depth)
    assert found.targets.shape == (len(rows), min(k, targets))
    assert as_lists(found) == [case.ranked(row, k, cap) for row in rows]


@settings(deadline=None)
@given(seeds, st.integers(1, 60), st.integers(1, 20), st.integers(1, 20))
def test_distances_are_searched_like_products(seed, targets, k, depth):
    case = make_inventory(seed, 4, targets)
    found = case.search(index=DistanceIndex).search(case.queries, np.arange(4), k, depth)
    assert as_lists(found) == [case.ranked(row, k, squared=True) for row in range(4)]


@settings(deadline=None)
@given(seeds, st.integers(30, 80), caps, st.integers(1, 30), st.integers(1, 8))
def test_an_index_that_runs_dry_leaves_no_list_short(seed, targets, cap, k, depth):
    case = make_inventory(seed, 6, targets)
    rows = np.arange(6)
    search = case.search(cap, index=lambda vectors: ClusteredIndex(vectors, 4), exact=False)
    for row, (found, scores) in zip(rows, as_lists(search.search(case.queries, rows, k, depth)), strict=True):
        known, values = case.ranked(row, targets)
        assert len(found) == len(set(found)) == len(case.ranked(row, k, cap)[0])
        score = dict(zip(known, values, strict=True))
        assert [score[target] for target in found] == scores == sorted(scores, reverse=True)


def test_an_index_that_shows_few_is_helped_by_the_vectors():
    case = make_inventory(8, 5, 60)
    lists = [case.search(deepest=limit).search(case.queries, np.arange(5), 12, 3) for limit in (None, 2)]
    assert as_lists(lists[0]) == as_lists(lists[1]) == [case.ranked(row, 12) for row in range(5)]
    with pytest.raises(ConfigError, match="at most 2 targets needs their vectors"):
        case.search(vectors=False, deepest=2)


class AskedIndex(FlatIndex):
    """Remembers what it was asked for: queries and depth."""

    asked: tuple[tuple[int, int], ...] = ()

    def search(self, queries, k):
        self.asked += ((len(queries), k),)
        return super().search(queries, k)


def test_the_index_is_asked_deeper_for_those_that_it_serves_alone():
    vectors = np.arange(10_000, dtype=np.float32)[:, None]
    # One may be given all, one nothing near the top, one a hundred targets only.
    denied = Ragged.from_lists([[], range(9975, 10_000), range(9900)])
    index = AskedIndex(vectors)
    search = AllowedSearch(index, Filter(np.ones(10_000, bool), denied), TargetVectors(vectors))
    found = search.search(np.ones((3, 1), np.float32), np.arange(3), 10, 12)
    assert found.targets[:, 0].tolist() == [9999, 9974, 9999]
    assert index.asked == ((2, 12), (1, 24), (1, 48))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_mapped_vectors_past_one_block_are_all_seen(tmp_path, dtype):
    targets = 70_000
    vectors = (np.arange(targets) % 1000).astype(np.float32)[:, None]
    np.save(tmp_path / "vectors.npy", vectors.astype(dtype))
    mapped = TargetVectors(np.load(tmp_path / "vectors.npy", mmap_mode="r"))
    # All but the last 30 of the best are denied, which no depth below a sixteenth shows.
    best = np.flatnonzero(vectors[:, 0] > 700)
    keep = Filter(np.ones(targets, bool), Ragged.from_lists([best[:-30]]))
    query = np.ones((1, 1), np.float32)
    found = AllowedSearch(FlatIndex(vectors), keep, mapped).search(query, np.zeros(1, np.int64), 40, 100)
    assert found.scores[0].tolist() == sorted(vectors[best[-30:], 0].tolist(), reverse=True) + [700] * 10
    assert found.targets[0, 30:].tolist() == list(range(700, 10_700, 1000))


def test_merged_lists_are_filtered():
    case = make_inventory(1, 6, 40, "others")
    found = search_merged(FlatIndex(case.vectors), case.queries, case.pairs, np.arange(6), 9, 2, case.keep)
    assert as_lists(found) == [case.ranked(row, 9) for row in range(6)]


def test_lists_end_where_nothing_more_is_allowed():
    vectors = np.arange(6, dtype=np.float32)[:, None]
    lists = AllowLists(Ragged.from_lists([[], [4, 1, 4], []]), np.array([True, True, False]))
    keep = Filter(np.arange(6) != 5, allowed=lists)
    queries, rows = np.ones((3, 1), np.float32), np.arange(3)
    expected = [([], []), ([4, 1], [4, 1]), ([4, 3, 2, 1, 0], [4, 3, 2, 1, 0])]
    for beside in (None, TargetVectors(vectors)):
        found = AllowedSearch(FlatIndex(vectors), keep, beside).search(queries, rows, 99, 1)
        assert found.targets.shape == (3, 6)
        assert as_lists(found) == expected
    nothing = AllowedSearch(FlatIndex(vectors), Filter(np.zeros(6, bool))).search(queries, rows, 3, 1)
    assert as_lists(nothing) == [([], [])] * 3


def test_parts_that_do_not_fit_are_refused():
    index, keep = FlatIndex(np.zeros((3, 2), np.float32)), Filter(np.ones(3, bool))
    pairs = PairScores(np.array([0, 1]), np.array([3]), np.zeros(1, np.float32))
    with pytest.raises(DataError, match="filter is of 4 targets, and the index of 3"):
        AllowedSearch(index, Filter(np.ones(4, bool)))
    with pytest.raises(DataError, match=r"vectors are \[3, 1\], and the index is of \[3, 2\]"):
        AllowedSearch(index, keep, TargetVectors(np.zeros((3, 1))))
    with pytest.raises(DataError, match=r"must be \[targets, channels\], not \[3\]"):
        TargetVectors(np.zeros(3))
    with pytest.raises(ConfigError, match=r"unknown metric 'cos'; allowed: inner_product, cosine, l2"):
        TargetVectors(np.zeros((3, 1)), "cos")
    with pytest.raises(DataError, match="2 targets have categories, and the index has 3"):
        AllowedSearch(index, keep, diversity=Diversity(np.zeros(2), 1))
    with pytest.raises(DataError, match="filter is of 2 entities, and the pairs of 1"):
        AllowedSearch(index, Filter(np.ones(3, bool), Ragged.from_lists([[], []])), pairs=pairs)
    with pytest.raises(DataError, match=r"queries are \[1, 3\], and must be \[1, 2\]"):
        AllowedSearch(index, keep).search(np.zeros((1, 3), np.float32), np.zeros(1, np.int64), 1, 1)
    with pytest.raises(DataError, match="entities are 0 to 0, not 1 to 1"):
        AllowedSearch(index, keep, pairs=pairs).search(np.zeros((1, 2), np.float32), np.ones(1, np.int64), 1, 1)
    with pytest.raises(ConfigError, match="diversity cap is 0"):
        Diversity(np.zeros(2), 0)
    with pytest.raises(DataError, match="codes must be -1 or more, not -2"):
        Diversity(np.array([-2]), 1)
