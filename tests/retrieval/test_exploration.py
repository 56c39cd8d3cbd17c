"""Drawn targets are allowed, new to the list, alike in their chances, and the same for the same key."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gnnscale.arrays import Ragged
from gnnscale.retrieval import Neighbors
from gnnscale.retrieval.filters.allow_lists import AllowLists, OwnCategory
from gnnscale.retrieval.filters.diversity import Diversity
from gnnscale.retrieval.filters.filter import Filter
from gnnscale.retrieval.ranking.exploration import Exploration
from gnnscale.schema import ConfigError, DataError
from tests.retrieval.filter_cases import allowed_targets, make_filter


def first_allowed(keep: Filter, rows: np.ndarray, k: int) -> Neighbors:
    """Lists of the smallest allowed targets, in falling order of id."""
    lists = [allowed_targets(keep, row)[:k][::-1] for row in rows]
    targets = np.array([own + [-1] * (k - len(own)) for own in lists], np.int64).reshape(len(rows), k)
    return Neighbors(targets, np.where(targets < 0, -np.inf, targets).astype(np.float32))


@settings(deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 6),
    st.integers(1, 30),
    st.sampled_from(["any", "only", "others"]),
    st.integers(1, 12),
    st.sampled_from([0.0, 0.1, 0.5, 0.77, 1.0]),
)
def test_lists_keep_their_best_in_order_and_gain_allowed_targets(seed, entities, targets, category, k, share):
    keep, rows = make_filter(seed, entities, targets, category), np.arange(entities)
    found = first_allowed(keep, rows, k)
    placed = Exploration(share, seed).place(found, rows, keep)
    for row in rows:
        before = found.targets[row][found.targets[row] >= 0].tolist()
        after, marks = placed.targets[row].tolist(), placed.explored[row]
        drawn = placed.targets[row][marks].tolist()
        outside = set(allowed_targets(keep, row)) - set(before)
        assert len(set(drawn)) == len(drawn) and set(drawn) <= outside
        least = min(int(share * len(before)), len(outside))
        assert least <= len(drawn) <= min(least + 1, len(before), len(outside))
        # What is not drawn are the best of the list, as they were.
        assert [target for target, mark in zip(after, marks, strict=True) if not mark and target >= 0] == before[
            : len(before) - len(drawn)
        ]
        assert after[len(before) :] == [-1] * (k - len(before))
        assert np.isnan(placed.scores[row][marks]).all()
        np.testing.assert_array_equal(
            placed.scores[row][~marks], np.where(placed.targets < 0, -np.inf, placed.targets)[row][~marks]
        )


MASK = np.arange(24) % 6 != 5
CODES = np.arange(24) % 3
ROWS = 6000
FILTERS = {
    "mask": Filter(MASK),
    "deny list": Filter(MASK, Ragged.from_lists([[3, 4, 5, 20]] * ROWS)),
    "allow list": Filter(MASK, allowed=AllowLists(Ragged.from_lists([range(1, 24, 2)] * ROWS), np.ones(ROWS, bool))),
    "own category": Filter(MASK, Ragged.from_lists([[6]] * ROWS), category=OwnCategory(np.zeros(ROWS), CODES, True)),
    "others": Filter(MASK, Ragged.from_lists([[7, 6]] * ROWS), category=OwnCategory(np.zeros(ROWS), CODES, False)),
}


@pytest.mark.parametrize("keep", FILTERS.values(), ids=FILTERS)
def test_targets_and_places_are_drawn_evenly(keep):
    rows = np.arange(ROWS)
    allowed = allowed_targets(keep, 0)
    own = allowed[1:4]
    found = Neighbors(np.tile(own, (ROWS, 1)).astype(np.int64), np.zeros((ROWS, 3), np.float32))
    placed = Exploration(0.5, 11).place(found, rows, keep)
    outside = sorted(set(allowed) - set(own))
    counts = np.bincount(placed.targets[placed.explored], minlength=24)
    assert counts.sum() == counts[outside].sum()
    # A half of three places is one or two of them, as often.
    number = placed.explored.sum(1)
    assert stats.chisquare(np.bincount(number, minlength=4)[1:3]).pvalue > 0.01
    assert stats.chisquare(counts[outside]).pvalue > 0.01
    assert stats.chisquare(placed.explored.sum(0)).pvalue > 0.01
    # Where two are drawn, every pair of targets in either order is as likely.
    two = placed.targets[number == 2][placed.explored[number == 2]].reshape(-1, 2)
    pairs = np.unique(two @ [24, 1], return_counts=True)[1]
    assert len(pairs) == len(outside) * (len(outside) - 1)
    assert stats.chisquare(pairs).pvalue > 0.01


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 12), st.sampled_from([0.3, 0.77, 1.0]))
def test_drawn_targets_keep_to_the_diversity_cap(seed, cap, k, share):
    rng = np.random.default_rng(seed)
    diversity = Diversity(rng.integers(-1, 6, 40).astype(np.int32), cap)
    keep, rows = make_filter(seed, 5, 40, "any"), np.arange(5)
    lists = [capped(allowed_targets(keep, row), diversity, k) for row in rows]
    targets = np.array([own + [-1] * (k - len(own)) for own in lists], np.int64).reshape(5, k)
    found = Neighbors(targets, np.where(targets < 0, -np.inf, -targets).astype(np.float32))
    placed = Exploration(share, seed).place(found, rows, keep, diversity)
    for row, own in zip(rows, lists, strict=True):
        after, marks = placed.targets[row][: len(own)].tolist(), placed.explored[row][: len(own)]
        assert capped(after, diversity, k) == after and len(set(after)) == len(own)
        drawn = [target for target, mark in zip(after, marks, strict=True) if mark]
        assert set(drawn) <= set(allowed_targets(keep, row)) - set(own)
        assert [t for t in after if t not in drawn] == own[: len(own) - len(drawn)]
        free = set(allowed_targets(keep, row)) - set(own)
        if all(diversity.categories[t] < 0 for t in free):
            assert len(drawn) >= min(int(share * len(own)), len(free))


def capped(targets: list[int], diversity: Diversity, k: int) -> list[int]:
    """The first that fit under the cap."""
    kept: list[int] = []
    for target in targets:
        code = diversity.categories[target]
        if len(kept) < k and (code < 0 or sum(diversity.categories[t] == code for t in kept) < diversity.cap):
            kept.append(target)
    return kept


def test_what_fits_under_the_cap_is_drawn_evenly():
    # Of twelve targets in three categories, the list has one of each and two may be in it.
    diversity = Diversity((np.arange(12) % 3).astype(np.int32), 2)
    found = Neighbors(np.tile([0, 1, 2], (ROWS, 1)), np.zeros((ROWS, 3), np.float32))
    keep = Filter(np.ones(12, bool))
    placed = Exploration(1 / 3, 1).place(found, np.arange(ROWS), keep, diversity)
    counts = np.bincount(placed.targets[placed.explored], minlength=12)
    assert counts.sum() == ROWS and not counts[:3].any()
    assert stats.chisquare(counts[3:]).pvalue > 1e-3
    # With one of each, the last that was kept is the only one that another of its category may stand for.
    tight = Diversity(diversity.categories, 1)
    placed = Exploration(1 / 3, 1).place(found, np.arange(ROWS), keep, tight)
    counts = np.bincount(placed.targets[placed.explored], minlength=12)
    assert counts.sum() == ROWS and set(np.flatnonzero(counts)) == {5, 8, 11}
    assert stats.chisquare(counts[[5, 8, 11]]).pvalue > 1e-3


def test_the_same_key_draws_the_same_whatever_the_batch():
    keep = FILTERS["mask"]
    found = Neighbors(np.tile(np.arange(4), (200, 1)), np.zeros((200, 4), np.float32))
    whole = Exploration(0.3, 5).place(found, np.arange(200), keep)
    rows = np.array([150, 3, 77])
    part = Exploration(0.3, 5).place(Neighbors(found.targets[rows], found.scores[rows]), rows, keep)
    np.testing.assert_array_equal(part.targets, whole.targets[rows])
    np.testing.assert_array_equal(part.explored, whole.explored[rows])
    for other in (Exploration(0.3, 6), Exploration(0.3, 5, anchor=86_400)):
        assert (other.place(found, np.arange(200), keep).targets != whole.targets).any(1).mean() > 0.5


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match=r"share of exploration is 1.1, and must be in 0 to 1"):
        Exploration(1.1, 0)
    found = Neighbors(np.array([[0, 5]]), np.zeros((1, 2), np.float32))
    with pytest.raises(DataError, match="list of entity 7 has target 5, which is not allowed"):
        Exploration(0.5, 0).place(found, np.array([7]), FILTERS["mask"])
