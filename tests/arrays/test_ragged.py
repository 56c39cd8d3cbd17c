from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnscale.arrays import Ragged
from gnnscale.schema.errors import DataError

SETS = st.lists(st.sets(st.integers(0, 12)), max_size=8)


@st.composite
def paired_sets(draw: st.DrawFn) -> list[tuple[set[int], set[int]]]:
    one_row = st.tuples(st.sets(st.integers(0, 12)), st.sets(st.integers(0, 12)))
    return draw(st.lists(one_row, max_size=8))


def as_sets(ragged: Ragged) -> list[set[int]]:
    return [set(ragged.row(i).tolist()) for i in range(len(ragged))]


@given(SETS)
def test_lists_come_back_sorted_and_counted(sets: list[set[int]]) -> None:
    ragged = Ragged.from_lists([[*ids, *ids] for ids in sets])
    assert len(ragged) == len(sets)
    assert [ragged.row(i).tolist() for i in range(len(ragged))] == [sorted(ids) for ids in sets]
    assert ragged.counts.tolist() == [len(ids) for ids in sets]
    assert ragged.indptr.dtype == ragged.values.dtype == np.int64


@given(SETS, st.randoms(use_true_random=False))
def test_pairs_in_any_order_give_the_same_sets(sets: list[set[int]], random: object) -> None:
    pairs = [(row, value) for row, ids in enumerate(sets) for value in ids] * 2
    random.shuffle(pairs)  # type: ignore[attr-defined]
    rows, values = [row for row, _ in pairs], [value for _, value in pairs]
    assert Ragged.from_pairs(rows, values, len(sets)) == Ragged.from_lists(list(sets))


@given(paired_sets())
def test_union_difference_and_intersection_are_those_of_sets(pairs: list[tuple[set[int], set[int]]]) -> None:
    left, right = Ragged.from_lists([a for a, _ in pairs]), Ragged.from_lists([b for _, b in pairs])
    assert as_sets(left.union(right)) == [a | b for a, b in pairs]
    assert as_sets(left.difference(right)) == [a - b for a, b in pairs]
    assert as_sets(left.intersection(right)) == [a & b for a, b in pairs]


@given(SETS, st.integers(0, 5), st.integers(0, 2**32 - 1))
def test_contains_is_membership_in_the_row(sets: list[set[int]], width: int, seed: int) -> None:
    matrix = np.random.default_rng(seed).integers(-1, 15, size=(len(sets), width))
    found = Ragged.from_lists(list(sets)).contains(matrix)
    assert found.dtype == np.bool_
    assert found.tolist() == [[int(i) in ids for i in row] for ids, row in zip(sets, matrix, strict=True)]


def test_minus_one_does_not_match_the_largest_id_of_the_row_before() -> None:
    assert Ragged.from_lists([[3], [3]]).contains([[3], [-1]]).tolist() == [[True], [False]]


def test_take_repeats_and_reorders_rows() -> None:
    ragged = Ragged.from_lists([[5, 1], [], [2]])
    assert as_sets(ragged.take(np.array([2, 0, 0, 1]))) == [{2}, {1, 5}, {1, 5}, set()]


@pytest.mark.parametrize(
    ("indptr", "values", "part"),
    [
        ([0, 2], [4, 4], "row 0: ids must ascend"),
        ([0, 1, 3], [4, 3, 1], "row 1: ids must ascend"),
        ([0, 1], [-1], "id -1 is negative"),
        ([0, 3], [1, 2], "indptr must run"),
        ([0, 2, 1, 2], [1, 2], "indptr must not fall"),
    ],
)
def test_broken_arrays_are_refused(indptr: list[int], values: list[int], part: str) -> None:
    with pytest.raises(DataError, match=part):
        Ragged(np.array(indptr), np.array(values))


def test_misfits_are_refused() -> None:
    ragged = Ragged.from_lists([[1], [2]])
    with pytest.raises(DataError, match=r"must be \[2, K\]"):
        ragged.contains(np.zeros((3, 1), dtype=np.int64))
    with pytest.raises(DataError, match="as many rows"):
        ragged.difference(Ragged.from_lists([[1]]))
    with pytest.raises(DataError, match=r"0 \.\. 1"):
        Ragged.from_pairs([2], [0], 2)
    with pytest.raises(DataError, match="row 2 is outside"):
        ragged.row(2)


def test_padded_rows_have_zeros_behind_their_values() -> None:
    ragged = Ragged.from_lists([[4, 2], [], [1, 5, 3]])
    assert ragged.padded(np.array([2, 1, 0, 2]), 4).tolist() == [[1, 3, 5, 0], [0] * 4, [2, 4, 0, 0], [1, 3, 5, 0]]
    assert ragged.padded(np.zeros(0, np.int64), 2).shape == (0, 2)
    with pytest.raises(DataError, match="a row has 3 values; 2 were given room"):
        ragged.padded(np.arange(3), 2)


def test_what_is_not_checked_stays_as_it_is(tmp_path) -> None:
    np.save(tmp_path / "values.npy", np.array([7, 3, 3, 1], np.int32))
    mapped = np.load(tmp_path / "values.npy", mmap_mode="r")
    ragged = Ragged(np.array([0, 2, 2, 4]), mapped, checked=False)
    assert ragged.values is mapped and ragged.counts.tolist() == [2, 0, 2]
    assert ragged.row_of_value.tolist() == [0, 0, 2, 2] and ragged.row(0).tolist() == [7, 3]
    taken = ragged.take(np.array([2, 0]))
    assert taken.values.dtype == np.int32 and not isinstance(taken.values, np.memmap)
    assert (taken.indptr.tolist(), taken.values.tolist()) == ([0, 2, 4], [3, 1, 7, 3])
