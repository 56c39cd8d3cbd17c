"""Negatives that a whole batch shares, and those that are its own positives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnscale.sampling.negatives.in_batch import InBatchNegatives
from gnnscale.sampling.negatives.popularity import Popularity
from gnnscale.sampling.negatives.request import NegativeRequest
from gnnscale.sampling.negatives.shared import NegativeSampler, SharedNegatives
from gnnscale.schema import SchemaError
from tests.sampling.negatives.targets import allowed_to, known_of, popularities, request_of, requests

COUNTS = np.array([0, 1, 5, 50, 500])


@pytest.mark.parametrize("power", [0.0, 0.5, 0.75, 1.0])
def test_negatives_follow_popularity_to_the_power(power):
    sampler = NegativeSampler(COUNTS, power, seed=0)
    shares = (COUNTS + 0.5) ** power / ((COUNTS + 0.5) ** power).sum()
    np.testing.assert_allclose(np.exp(sampler.log_share), shares, rtol=1e-5)
    drawn = np.concatenate([sampler.sample(1_000, 0, step) for step in range(20)])
    assert drawn.dtype == np.int64 and drawn.min() >= 0 and drawn.max() < 5
    found = np.bincount(drawn, minlength=5) / len(drawn)
    np.testing.assert_allclose(found, shares, atol=5 * np.sqrt(0.25 / len(drawn)))


def test_negatives_are_the_same_everywhere_and_change_with_epoch_step_and_seed():
    def draw(seed=0, epoch=0, step=0):
        return NegativeSampler(COUNTS, 0.75, seed).sample(50, epoch, step).tolist()

    assert draw() == draw()
    assert draw() not in (draw(seed=1), draw(epoch=1), draw(step=1))
    # More of them are the same ones and others.
    assert NegativeSampler(COUNTS, 0.75, 0).sample(60, 0, 0).tolist()[:50] == draw()


def test_a_target_that_was_never_seen_can_be_a_negative():
    drawn = NegativeSampler(np.zeros(3, np.int64), 1.0, 0).sample(300, 0, 0)
    assert set(drawn.tolist()) == {0, 1, 2}


@given(popularities(), st.sampled_from(["numba", "numpy"]), st.data())
@settings(max_examples=150, deadline=None)
def test_a_shared_set_holds_for_exactly_those_whom_it_is_allowed_to(popularity, backend, data):
    request = data.draw(requests(len(popularity)))
    found = SharedNegatives(popularity, 9, seed=5, backend=backend).sample(request)
    assert found.shared and found.nodes.shape == found.log_share.shape == (9,)
    assert found.present.shape == (len(request), 9)
    np.testing.assert_array_equal(found.log_share, popularity.log_share[found.nodes])
    for b in range(len(request)):
        allowed = allowed_to(request, popularity, b)
        assert found.present[b].tolist() == [node in allowed for node in found.nodes.tolist()]


def test_workers_share_a_set_and_steps_do_not():
    popularity = Popularity(np.arange(50), 0.75)
    known = known_of([[1, 2], [3], [4], []])
    whole = request_of(known, [0, 1, 2, 3], [5, 5, 6, 6], epoch=2, step=7)
    parts = [
        NegativeRequest(whole.entities[rank::2], whole.anchors[rank::2], known, epoch=2, step=7) for rank in (0, 1)
    ]
    sampler = SharedNegatives(popularity, 30)
    found = sampler.sample(whole)
    for rank, part in enumerate(map(sampler.sample, parts)):
        np.testing.assert_array_equal(part.nodes, found.nodes)
        np.testing.assert_array_equal(part.present, found.present[rank::2])
    other = request_of(known, [0], [5], epoch=2, step=8)
    assert sampler.sample(other).nodes.tolist() != found.nodes.tolist()
    # The loop's sampler, which leaves out the masks, draws the same set.
    assert NegativeSampler(np.arange(50), 0.75, 0).sample(30, 2, 7).tolist() == found.nodes.tolist()


@given(popularities(), st.data())
@settings(max_examples=150, deadline=None)
def test_in_batch_negatives_are_the_positives_of_others(popularity, data):
    request = data.draw(requests(len(popularity)).filter(lambda r: (r.known.take(r.entities).counts > 0).all()))
    known = request.known.take(request.entities)
    which, targets = known.row_of_value, known.values
    positives = np.array(
        [data.draw(st.sampled_from(targets[which == b].tolist())) for b in range(len(request))], np.int64
    )
    full = NegativeRequest(request.entities, request.anchors, request.known, request.examples, positives)
    found, other = (InBatchNegatives(popularity, backend).sample(full) for backend in ("numba", "numpy"))
    np.testing.assert_array_equal(found.present, other.present)
    assert found.shared and found.nodes.tolist() == positives.tolist()
    assert not found.present.diagonal().any()
    for b in range(len(request)):
        allowed = allowed_to(request, popularity, b)
        assert found.present[b].tolist() == [node in allowed for node in positives.tolist()]
    np.testing.assert_array_equal(found.log_share, popularity.log_share[positives])


def test_in_batch_negatives_need_positives():
    with pytest.raises(SchemaError, match="made of positives; the request has none"):
        InBatchNegatives(Popularity(np.ones(3, int), 1.0)).sample(request_of(known_of([[1]]), [0], [3]))


@pytest.mark.parametrize("make", [lambda p: SharedNegatives(p, 3), InBatchNegatives])
def test_a_known_positive_that_is_no_target_is_an_error(make):
    request = request_of(known_of([[1, 9]]), [0], [3], positives=np.array([9]))
    with pytest.raises(SchemaError, match=r"known positives must be in 0 \.\. 2, not 1 \.\. 9"):
        make(Popularity(np.ones(3, int), 1.0)).sample(request)
