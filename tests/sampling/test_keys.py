"""Draws are a fixed function of their key: these numbers never change."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnscale.sampling.keys import (
    below,
    default_examples,
    draw,
    example_keys,
    hop_key,
    mix,
    mulhi,
    permutation,
    stream_key,
)
from gnnscale.sampling.numba_keys import default_examples_of, example_keys_of, multiply_high
from gnnscale.schema import EdgeType, Link

MASK = 2**64 - 1


def mix_by_hand(z: int) -> int:
    """SplitMix64's finaliser, as Steele, Lea and Flood give it, in Python's integers."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


@given(st.integers(0, MASK))
def test_the_mixing_function_is_splitmix64(value):
    assert int(mix(np.asarray(value, np.uint64))) == mix_by_hand(value)


def test_draws_under_key_zero_are_splitmix64_from_seed_zero():
    # The first outputs of the published generator with seed 0.
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert draw(np.zeros(3, np.uint64), np.arange(3, dtype=np.uint64)).tolist() == published


GOLDEN = {
    (0, 0, ""): 0x238275BC38FCBE91,
    (0, 0, "hop/edges_rev_purchases_customer_id"): 0x29C45BA6B148FBD0,
    (7, 3, "order/batches"): 0x9B5D6929B6863341,
    (-1, 0, "negatives/12"): 0x9C0A81B62F38D6DB,
    (2**63, 1_000_000, "a"): 0xE483FC90917AEA25,
}


@pytest.mark.parametrize(("key", "expected"), GOLDEN.items(), ids=str)
def test_stream_keys_never_change(key, expected):
    assert int(stream_key(*key)) == expected


def test_example_keys_and_draws_never_change():
    keys = example_keys(stream_key(1, 2, "hop"), np.array([0, 1, 2**62, -1]))
    assert keys.tolist() == [0xF87696D5BF090AD9, 0xBD76ACAF8980D519, 0xA033F89178737971, 0x140011C43F0604E]
    assert draw(keys, np.array([0, 1, 2, 3], np.uint64)).tolist() == [
        0xBA1F32A30A6AD7CF,
        0xADA7D2ADF674EB01,
        0xA9C0C0C623A893DF,
        0x7736B6E65BAD290E,
    ]


def test_the_key_of_a_hop_is_of_the_tables_on_its_path():
    buyers, products = Link("purchases", "customer_id", "customers"), Link("purchases", "product_id", "products")
    path = (EdgeType(buyers, reverse=True), EdgeType(products, reverse=False))
    assert hop_key(7, 3, path[:1]) == stream_key(7, 3, "hop/edges_rev_purchases_customer_id")
    assert hop_key(7, 3, path) == stream_key(7, 3, "hop/edges_rev_purchases_customer_id/edges_purchases_product_id")


def test_examples_without_an_identity_of_their_own_are_their_seed_and_anchor():
    seeds, anchors = np.array([0, 1, 1, 2**31 - 2]), np.array([5, 5, 6, -(2**31)], np.int32)
    expected = [mix_by_hand(mix_by_hand(s) ^ (a & MASK)) for s, a in zip(seeds.tolist(), anchors.tolist(), strict=True)]
    assert default_examples(seeds, anchors).astype(np.uint64).tolist() == expected
    assert default_examples(seeds[2:], anchors[2:]).tolist() == default_examples(seeds, anchors)[2:].tolist()


@given(st.lists(st.tuples(st.integers(0, 2**31 - 2), st.integers(-(2**31), 2**31 - 1))), st.integers(0, MASK))
def test_compiled_keys_are_those_of_the_reference(pairs, key):
    seeds = np.array([seed for seed, _ in pairs], np.int64)
    examples = default_examples_of(seeds, np.array([anchor for _, anchor in pairs], np.int32))
    assert examples.tolist() == default_examples(seeds, np.array([anchor for _, anchor in pairs], np.int32)).tolist()
    assert example_keys_of(np.uint64(key), examples).tolist() == example_keys(np.uint64(key), examples).tolist()


@given(st.integers(0, 5), st.integers(0, 5), st.sampled_from(["a", "b"]))
def test_every_part_of_a_key_counts(seed, epoch, stream):
    key = stream_key(seed, epoch, stream)
    others = [stream_key(seed + 1, epoch, stream), stream_key(seed, epoch + 1, stream), stream_key(seed, epoch, "c")]
    assert key not in others
    assert len({int(k) for k in example_keys(key, np.arange(1000))}) == 1000


@given(st.integers(0, 2**64 - 1), st.integers(0, 300))
def test_a_permutation_has_every_number_once(key, count):
    order = permutation(np.uint64(key), count)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(count))


def test_permutations_never_change_and_follow_their_key():
    assert permutation(np.uint64(42), 8).tolist() == [4, 1, 6, 2, 3, 0, 7, 5]
    assert permutation(np.uint64(43), 8).tolist() != permutation(np.uint64(42), 8).tolist()


@given(st.lists(st.integers(0, MASK), min_size=1, max_size=20), st.integers(1, 2**32 - 1))
def test_below_is_in_range_and_scales_the_upper_half(bits, bound):
    found = below(np.array(bits, np.uint64), np.full(len(bits), bound, np.uint64))
    assert found.tolist() == [((b >> 32) * bound) >> 32 for b in bits]
    assert (found < bound).all()


halves = st.sampled_from([0, 1, 2**31, 2**32 - 1])
wide = st.integers(0, MASK) | st.builds(lambda upper, lower: upper << 32 | lower, halves, halves)


@given(st.lists(st.tuples(wide, wide), min_size=1, max_size=20))
def test_mulhi_is_the_upper_half_of_the_whole_product(pairs):
    bits, bounds = (np.array(side, np.uint64) for side in zip(*pairs, strict=True))
    expected = [(a * b) >> 64 for a, b in pairs]
    assert mulhi(bits, bounds).tolist() == expected
    assert [int(multiply_high(a, b)) for a, b in zip(bits, bounds, strict=True)] == expected


def test_below_takes_the_whole_range():
    ends = np.array([0, MASK], np.uint64)
    assert below(ends, np.full(2, 10, np.uint64)).tolist() == [0, 9]


def test_draws_are_spread_evenly():
    bits = draw(example_keys(stream_key(0, 0, "even"), np.arange(64_000)), np.zeros(64_000, np.uint64))
    counts = np.bincount(below(bits, np.full(len(bits), 64, np.uint64)).astype(int), minlength=64)
    # 63 degrees of freedom: one in a million under chance, and the draws are fixed.
    assert ((counts - 1_000) ** 2 / 1_000).sum() < 130
