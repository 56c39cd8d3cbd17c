"""Keys as tensors have the bits of the reference's."""

import numpy as np
import torch

from gnnscale.sampling import keys as reference
from gnnscale.sampling import tensor_keys as keys

EDGES = np.array([0, 1, -1, 2**63 - 1, -(2**63), 2**31, 2**32], np.int64)


def whole_range(seed: int) -> np.ndarray:
    return np.concatenate([EDGES, np.random.default_rng(seed).integers(-(2**63), 2**63 - 1, 500)])


def test_mix_is_that_of_the_reference():
    values = whole_range(0)
    found = keys.mix_tensor(torch.from_numpy(values)).numpy().view(np.uint64)
    np.testing.assert_array_equal(found, reference.mix(values.view(np.uint64)))


def test_example_keys_are_those_of_the_reference():
    examples = whole_range(1)
    for seed in (0, 5, 2**64 - 1):
        key = reference.stream_key(seed, 3, "hop/edges_rev_purchases_customer_id")
        found = keys.example_keys(key, torch.from_numpy(examples)).numpy().view(np.uint64)
        np.testing.assert_array_equal(found, reference.example_keys(key, examples))


def test_examples_without_an_identity_get_that_of_the_reference():
    rng = np.random.default_rng(2)
    seeds, anchors = rng.integers(0, 2**31, 300), rng.integers(-(2**31), 2**31, 300).astype(np.int32)
    found = keys.default_examples(torch.from_numpy(seeds), torch.from_numpy(anchors)).numpy()
    np.testing.assert_array_equal(found, reference.default_examples(seeds, anchors))
