"""Negatives by popularity: exactly the allowed ones, by exactly their law, whatever batch, backend or threads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnscale.sampling.keys import draw
from gnnscale.sampling.negatives.allowed import AllowedTargets
from gnnscale.sampling.negatives.popular import PopularNegatives
from gnnscale.sampling.negatives.popularity import Popularity
from gnnscale.sampling.negatives.request import NegativeRequest
from gnnscale.schema import ConfigError, SchemaError
from gnnscale.store.features import NEVER
from tests.sampling.graphs import keys_for
from tests.sampling.negatives.targets import (
    allowed_to,
    deviations,
    features_of,
    known_of,
    popularities,
    request_of,
    requests,
)


@given(popularities(), st.integers(1, 6), st.data())
@settings(max_examples=200, deadline=None)
def test_both_backends_draw_the_same_of_what_is_allowed_and_tell_its_chance(popularity, number, data):
    request = data.draw(requests(len(popularity)))
    seed = data.draw(st.integers(0, 2**64 - 1))
    found, other = (PopularNegatives(popularity, number, seed, b).sample(request) for b in ("numba", "numpy"))
    np.testing.assert_array_equal(found.nodes, other.nodes)
    np.testing.assert_array_equal(found.log_share, other.log_share)
    assert found.nodes.shape == found.log_share.shape == (len(request), number)
    assert (found.nodes.dtype, found.log_share.dtype, found.shared) == (np.int64, np.float32, False)
    np.testing.assert_array_equal(found.present, found.nodes >= 0)
    weights = popularity.weights.astype(float)
    for b in range(len(request)):
        allowed = allowed_to(request, popularity, b)
        if not allowed:
            assert (found.nodes[b] == -1).all() and not found.log_share[b].any()
            continue
        assert set(found.nodes[b].tolist()) <= set(allowed)
        expected = np.log(weights[found.nodes[b]] / weights[allowed].sum())
        np.testing.assert_allclose(found.log_share[b], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("targets", [1, 2, 3, 1_000, 1_024, 1_025])
def test_both_backends_agree_on_many_targets_of_very_different_popularity(targets):
    counts = np.random.default_rng(0).zipf(1.3, targets).clip(0, 10**12)
    known = known_of([[], [int(counts.argmax())]])
    request = request_of(known, [0, 1] * 10, [0] * 20, examples=np.arange(20))
    popularity = Popularity(counts, 1.0)
    found, other = (PopularNegatives(popularity, 25, 3, b).sample(request).nodes for b in ("numba", "numpy"))
    np.testing.assert_array_equal(found, other)


COUNTS = np.array([0, 1, 5, 50, 500, 20, 3, 0])


def many(popularity: Popularity, rows: list[list[int]], anchor: int = 5, batch: int = 2_000, **options) -> np.ndarray:
    """How often each target is drawn for entity 0 under many keys."""
    request = request_of(known_of(rows), [0] * batch, [anchor] * batch, examples=np.arange(batch))
    found = PopularNegatives(popularity, 20, **options).sample(request)
    assert found.present.all()
    return np.bincount(found.nodes.ravel(), minlength=len(popularity))


def shares(power: float, allowed: list[int]) -> np.ndarray:
    weights = np.zeros(len(COUNTS))
    weights[allowed] = (COUNTS[allowed] + 0.5) ** power
    return weights / weights.sum()


@pytest.mark.parametrize("power", [0.0, 0.5, 0.75, 1.0])
@pytest.mark.parametrize(("rows", "allowed"), [([[]], range(8)), ([[4, 6]], [0, 1, 2, 3, 5, 7]), ([[3]], None)])
def test_popularity_follows_its_power_among_what_is_allowed(power, rows, allowed):
    features = features_of([0, 0, 9, 0, 0, 0, 5, 0], [NEVER, 5, NEVER, 6, NEVER, 9, NEVER, 4])
    popularity = Popularity(COUNTS, power, None if allowed else features)
    expected = shares(power, list(allowed or [0, 4, 5, 6]))
    counts = many(popularity, rows)
    # The draws are fixed; 5 deviations are under one in ten thousand.
    assert deviations(counts, expected) < 5
    assert deviations(counts, shares(power + 0.1, np.flatnonzero(expected).tolist())) > 5


@pytest.mark.parametrize("power", [0.0, 0.75, 1.0])
@pytest.mark.parametrize("known", [[], [3, 6], [0, 1], [2, 4, 7], [5]])
def test_what_settles_a_slot_follows_the_same_law(power, known):
    popularity = Popularity(COUNTS, power, features_of([0, 0, 9, 0, 9, 0, 0, 9]))
    bits = draw(keys_for(40_000), np.uint64(0))
    nodes = AllowedTargets(popularity, 5).draw(known_of([[], known]), 1, bits)
    allowed = sorted({0, 1, 3, 5, 6} - set(known))
    counts = np.bincount(nodes, minlength=8)
    assert deviations(counts, shares(power, allowed)) < 5
    assert deviations(counts, shares(power + 0.1, allowed)) > 5


def test_nothing_settles_where_nothing_is_allowed():
    bits = draw(keys_for(4), np.uint64(0))
    popularity = Popularity(COUNTS, 1.0, features_of([9, 9, 0, 9, 0, 9, 9, 9]))
    assert AllowedTargets(popularity, 5).draw(known_of([[2, 3, 4]]), 0, bits).tolist() == [-1] * 4
    assert AllowedTargets(popularity, -1).draw(known_of([[]]), 0, bits).tolist() == [-1] * 4
    assert AllowedTargets(popularity, 5).draw(known_of([[2, 3, 7]]), 0, bits).tolist() == [4] * 4


def test_a_target_that_redraws_hardly_ever_meet_is_found():
    # A chance of one in ten million a draw.
    counts = np.array([10**9, 10**9, 0, 10**9, 0])
    request = request_of(known_of([[0, 1, 3]]), [0] * 50, [0] * 50, examples=np.arange(50))
    found = PopularNegatives(Popularity(counts, 0.8), 4).sample(request)
    assert np.bincount(found.nodes.ravel(), minlength=5)[[2, 4]].min() > 70
    np.testing.assert_allclose(np.exp(found.log_share), 0.5, rtol=1e-5)


def test_an_example_that_knows_all_has_none_and_others_theirs():
    request = request_of(known_of([[0, 1, 2], [0, 2]]), [0, 1], [0, 0])
    found = PopularNegatives(Popularity(np.zeros(3, int), 1.0), 3).sample(request)
    assert found.nodes.tolist() == [[-1] * 3, [1] * 3] and found.log_share.tolist() == [[0.0] * 3] * 2


def batch_of(count: int = 60) -> NegativeRequest:
    rng = np.random.default_rng(0)
    known = known_of([rng.integers(0, 40, 12).tolist() for _ in range(count)])
    return request_of(known, rng.permutation(count), rng.integers(0, 10, count))


POPULARITY = Popularity(np.arange(40), 0.75, features_of([i % 11 for i in range(40)]))


@pytest.mark.parametrize("threads", [1, 3, 64])
def test_neither_threads_nor_place_in_a_batch_change_negatives(threads):
    request = batch_of()
    sampler = PopularNegatives(POPULARITY, 8, seed=3)
    whole = sampler.sample(request)
    order = np.random.default_rng(1).permutation(60)[:25]
    part = NegativeRequest(request.entities[order], request.anchors[order], request.known)
    found = PopularNegatives(POPULARITY, 8, seed=3, threads=threads).sample(part)
    np.testing.assert_array_equal(found.nodes, whole.nodes[order])
    np.testing.assert_array_equal(found.log_share, whole.log_share[order])
    # More of them begin as fewer do.
    np.testing.assert_array_equal(PopularNegatives(POPULARITY, 20, seed=3).sample(request).nodes[:, :8], whole.nodes)


def test_epoch_seed_and_example_change_negatives():
    base = batch_of()

    def nodes(seed: int = 0, **options) -> list:
        options = {"examples": np.arange(60), **options}
        request = NegativeRequest(base.entities, base.anchors, base.known, **options)
        return PopularNegatives(POPULARITY, 8, seed).sample(request).nodes.tolist()

    assert nodes() == nodes()
    assert nodes() not in (nodes(seed=1), nodes(epoch=1), nodes(examples=np.arange(60) + 1_000))


def test_slots_of_an_example_are_drawn_apart():
    request = request_of(known_of([[]]), [0] * 20_000, [0] * 20_000, examples=np.arange(20_000))
    nodes = PopularNegatives(Popularity(np.zeros(4, int), 0.0), 2).sample(request).nodes
    assert deviations(np.bincount(nodes[:, 0] * 4 + nodes[:, 1], minlength=16), np.full(16, 1 / 16)) < 5


def test_negatives_never_change():
    request = request_of(known_of([[1, 2], [5]]), [0, 1], [4, 9], examples=np.array([7, 8]))
    found = PopularNegatives(POPULARITY, 6, seed=1).sample(request)
    assert found.nodes.tolist() == [[23, 15, 14, 35, 37, 15], [38, 6, 39, 33, 37, 31]]


@given(popularities(), st.lists(st.integers(-5, 11), min_size=1, max_size=6))
@settings(max_examples=150, deadline=None)
def test_the_weight_alive_is_the_sum_of_what_is_alive(popularity, anchors):
    found = popularity.valid_weight(np.array(anchors, np.int32))
    weights = popularity.weights
    everything = np.arange(len(popularity))
    assert found.tolist() == [int(weights[popularity.is_valid_at(everything, a)].sum()) for a in anchors]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Popularity(COUNTS, -0.1), "power of negatives is -0.1; at least 0"),
        (lambda: Popularity(COUNTS, float("nan")), "power of negatives is nan"),
        (lambda: Popularity(COUNTS[:0], 1.0), "at least one target"),
        (lambda: Popularity(COUNTS, 1.0, features_of([0])), "counts are of 8 targets, features of 1"),
        (lambda: many(Popularity(COUNTS, 1.0), [[8]]), r"known positives must be in 0 \.\. 7, not 8 \.\. 8"),
    ],
)
def test_what_is_no_popularity_is_an_error(make, says):
    with pytest.raises((ConfigError, SchemaError), match=says):
        make()
