"""A filter allows what each of its parts allows, whichever way it is asked."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnscale.arrays import Ragged
from gnnscale.retrieval.filters.allow_lists import AllowLists, OwnCategory
from gnnscale.retrieval.filters.filter import Filter
from gnnscale.schema import DataError
from tests.retrieval.filter_cases import allowed_targets, make_filter

categories = st.sampled_from(["any", "only", "others"])


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 30), categories, st.data())
def test_every_way_to_ask_gives_what_the_parts_allow(seed, entities, targets, category, data):
    rule = make_filter(seed, entities, targets, category)
    rows = np.array(data.draw(st.lists(st.integers(0, entities - 1), max_size=8)), np.int64)
    expected = [allowed_targets(rule, row) for row in rows]
    assert rule.count_allowed(rows).tolist() == [len(allowed) for allowed in expected]
    found = rule.allowed_of(rows)
    assert [found.row(i).tolist() for i in range(len(rows))] == expected
    asked = np.tile(np.arange(-1, targets), (len(rows), 1))
    kept = rule.keep(rows, asked)
    assert [asked[i][kept[i]].tolist() for i in range(len(rows))] == expected


def test_an_empty_allow_list_allows_nothing_and_no_list_allows_all():
    lists = AllowLists(Ragged.from_lists([[], [], [2, 0, 2]]), np.array([True, False, True]))
    rule = Filter(np.ones(4, bool), allowed=lists)
    assert rule.count_allowed(np.arange(3)).tolist() == [0, 4, 2]


def test_what_has_no_category_is_of_none():
    codes = [0, -1], [0, 1, -1]
    only = Filter(np.ones(3, bool), category=OwnCategory(*map(np.array, codes), only=True))
    others = Filter(np.ones(3, bool), category=OwnCategory(*map(np.array, codes), only=False))
    rows = np.arange(2)
    assert [only.allowed_of(rows).row(i).tolist() for i in rows] == [[0], []]
    assert [others.allowed_of(rows).row(i).tolist() for i in rows] == [[1, 2], [0, 1, 2]]


def test_parts_that_do_not_fit_are_refused():
    mask, two = np.ones(3, bool), Ragged.from_lists([[0], [1]])
    with pytest.raises(DataError, match="deny lists of 2, categories of 1"):
        Filter(mask, two, category=OwnCategory(np.zeros(1), np.zeros(3), True))
    with pytest.raises(DataError, match="4 targets have categories, of 3"):
        Filter(mask, category=OwnCategory(np.zeros(1), np.zeros(4), True))
    with pytest.raises(DataError, match="deny lists have target 3, and targets are 0 to 2"):
        Filter(mask, Ragged.from_lists([[3]]))
    with pytest.raises(DataError, match="entity 1 has targets in an allow list"):
        AllowLists(two, np.array([True, False]))
    with pytest.raises(DataError, match="allow lists of 2 entities, and 1 marks"):
        AllowLists(two, np.array([True]))
    with pytest.raises(DataError, match="codes of targets must be -1 or more, not -2"):
        OwnCategory(np.zeros(1), np.array([-2]), True)
    rule = Filter(mask, two)
    with pytest.raises(DataError, match="entities are 0 to 1, not 0 to 2"):
        rule.count_allowed(np.array([0, 2]))
    with pytest.raises(DataError, match="no target 3: targets are 0 to 2"):
        rule.keep(np.array([0]), np.array([[3]]))
