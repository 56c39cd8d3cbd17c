"""On a CUDA device: a graph of millions of edges, compared with the compiled CPU sampler."""

import numpy as np
import pytest
import torch

from gnnscale.sampling import Rule
from gnnscale.sampling.backends.numba_backend import NumbaBackend
from gnnscale.sampling.backends.triton.device_features import FeatureTable, gather
from gnnscale.sampling.backends.triton.neighbor_kernel import sample_neighbors
from tests.gpu.graphs import keys_of, random_graph, tensors_of

NODES, EDGES, BATCH, WIDTH = 200_000, 8_000_000, 2_048, 15


@pytest.fixture(scope="module")
def large(cuda):
    return random_graph(0, NODES, EDGES, weighted=True)


@pytest.mark.parametrize("place", ["device", "pinned"])
@pytest.mark.parametrize("strategy", ["uniform", "last", "weighted"])
def test_a_large_graph_is_sampled_as_the_cpu_samples_it(cuda, large, strategy, place):
    rng = np.random.default_rng(1)
    frontier = rng.integers(-1, NODES, (BATCH, WIDTH)).astype(np.int32)
    anchors = rng.integers(-25, 65, BATCH).astype(np.int32)
    keys = keys_of(BATCH)
    tensors = [torch.from_numpy(a).to(cuda) for a in (frontier, anchors, keys.view(np.int64))]
    placed = tensors_of(large, cuda, place)
    for fanout, cap in ((10, None), (25, 50), (100, None)):
        wanted = np.empty((2, BATCH, WIDTH, fanout), np.int32)
        NumbaBackend().fill_neighbors(large, frontier, anchors, keys, Rule(strategy, cap), wanted[0], wanted[1])
        found = sample_neighbors(placed, *tensors, fanout, Rule(strategy, cap))
        assert (wanted[0] >= 0).sum() > 100_000
        np.testing.assert_array_equal(found[0].cpu().numpy(), wanted[0])
        np.testing.assert_array_equal(found[1].cpu().numpy(), wanted[1])


@pytest.mark.parametrize("place", ["device", "pinned", "mapped"])
def test_features_of_a_large_table(cuda, place):
    values = np.random.default_rng(0).standard_normal((NODES, 128), np.float32)
    nodes = np.random.default_rng(1).integers(-1, NODES, (BATCH, WIDTH, 10)).astype(np.int32)
    found = gather(FeatureTable.of(values, cuda, place), torch.from_numpy(nodes).to(cuda)).cpu().numpy()
    np.testing.assert_array_equal(found, np.where(nodes[..., None] < 0, 0, values[np.maximum(nodes, 0)]))
