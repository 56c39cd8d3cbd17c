"""Known positives, and requests that name them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnscale.sampling.negatives.known import KnownPositives
from gnnscale.sampling.negatives.request import NegativeRequest
from gnnscale.schema import SchemaError
from gnnscale.store.features import NEVER
from tests.sampling.negatives.targets import known_of, request_of

rows = st.lists(st.lists(st.integers(0, 9), max_size=8), min_size=1, max_size=6)


@given(rows, st.data())
@settings(deadline=None)
def test_both_backends_hold_what_the_sets_hold(lists, data):
    known = known_of(lists)
    assert len(known) == len(lists)
    batch = data.draw(st.integers(0, 4))
    entities = np.array(data.draw(st.lists(st.integers(0, len(lists) - 1), min_size=batch, max_size=batch)), np.int64)
    flat = data.draw(st.lists(st.integers(-1, 10), min_size=3 * batch, max_size=3 * batch))
    nodes = np.array(flat, np.int32).reshape(batch, 3)
    expected = [[n in lists[e] for n in row] for e, row in zip(entities, nodes.tolist(), strict=True)]
    for backend in ("numba", "numpy"):
        found = known.hold(entities, nodes, backend)
        assert found.tolist() == expected and found.shape == (batch, 3)
    taken = known.take(entities)
    assert [taken.row(b).tolist() for b in range(batch)] == [sorted(set(lists[e])) for e in entities]


@pytest.mark.parametrize(
    ("indptr", "targets", "says"),
    [
        ([0, 2, 3], [4, 4, 1], "entity 0 must ascend, each once"),
        ([0, 1, 3], [4, 2, 1], "entity 1 must ascend"),
        ([0, 1, 1, 1, 3], [4, 5, 1], "entity 3 must ascend"),
        ([0, 2], [1, 2, 3], "from 0 to 3"),
        ([1, 3], [1, 2, 3], "from 0 to 3"),
        ([0, 3, 2, 3], [1, 2, 3], "from 0 to 3"),
        ([], [], "from 0 to 0"),
    ],
)
def test_rows_out_of_order_are_errors(indptr, targets, says):
    with pytest.raises(SchemaError, match=says):
        KnownPositives(np.array(indptr, np.int64), np.array(targets, np.int64))


def test_empty_rows_may_lie_anywhere():
    known = KnownPositives(np.array([0, 0, 2, 2, 3, 3]), np.array([4, 9, 1]))
    assert known.hold(np.arange(5), np.full((5, 1), 4)).ravel().tolist() == [False, True, False, False, False]


def test_pairs_of_unknown_entities_are_an_error():
    with pytest.raises(SchemaError, match=r"entities must be in 0 \.\. 1, not 0 \.\. 2"):
        KnownPositives.of_pairs(np.array([0, 2]), np.array([1, 1]), 2)


@pytest.mark.parametrize(
    ("entities", "anchors", "options", "says"),
    [
        ([0, 1], [3], {}, r"anchors have shape \(1,\)"),
        ([0], [3], {"positives": np.array([1, 2])}, r"positives have shape \(2,\)"),
        ([0, 2], [3, 3], {}, r"entities must be in 0 \.\. 1, .* not 0 \.\. 2"),
        ([0, 1], [3, NEVER], {}, "anchors before"),
        ([0, 1], [3, 3], {"positives": np.array([1, 3])}, "positive 3 of entity 1 is not among its known"),
    ],
)
def test_a_request_that_does_not_fit_is_an_error(entities, anchors, options, says):
    with pytest.raises(SchemaError, match=says):
        request_of(known_of([[1, 2], [2]]), entities, anchors, **options)


def test_an_example_is_who_and_when_where_it_is_not_told():
    known = known_of([[1], [1]])
    one, other = request_of(known, [0, 1], [3, 3]), request_of(known, [1, 0], [3, 3])
    assert one.identities[::-1].tolist() == other.identities.tolist()
    assert len(set(request_of(known, [0, 0, 1], [3, 4, 3]).identities.tolist())) == 3
    request = NegativeRequest(np.array([0]), np.array([1], np.int32), known, np.array([5]))
    assert request.identities.tolist() == [5]
