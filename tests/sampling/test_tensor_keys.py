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
