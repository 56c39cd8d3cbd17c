"""The kernel gives what the reference gives, bit for bit."""

import numpy as np
import pytest
import torch

from gnnscale.sampling import Rule
from gnnscale.sampling.backends.triton.neighbor_kernel import DrawKeys, sample_neighbors
from gnnscale.sampling.keys import default_examples, example_keys, stream_key
from gnnscale.store import ALWAYS
from tests.gpu.graphs import csr, expected, keys_of, random_graph, tensors_of


def check(adjacency, device, frontier, anchors, keys, fanout, rule, place="device"):
    """Compare with the reference, and return the nodes."""
    tensors = [torch.from_numpy(a).to(device) for a in (frontier, anchors, keys.view(np.int64))]
    nodes, times = sample_neighbors(tensors_of(adjacency, device, place), *tensors, fanout, rule)
    assert nodes.dtype == times.dtype == torch.int32 and nodes.device.type == device.type
    wanted = expected(adjacency, frontier, anchors, keys, fanout, rule)
    np.testing.assert_array_equal(nodes.cpu().numpy(), wanted[0])
    np.testing.assert_array_equal(times.cpu().numpy(), wanted[1])
    return wanted[0]


@pytest.mark.parametrize("cap", [None, 12])
@pytest.mark.parametrize("fanout", [1, 3, 8, 11])
@pytest.mark.parametrize("strategy", ["uniform", "last", "weighted"])
def test_the_kernel_equals_the_reference(device, strategy, fanout, cap):
    adjacency = random_graph(seed=fanout, nodes=50, edges=1_500, weighted=True, base=2**64 - 2**33)
    # The running sum passes 2**64 on its way.
    assert adjacency.cumulative[0] > adjacency.cumulative[-1]
    rng = np.random.default_rng(fanout)
    frontier = rng.integers(0, 50, (9, 7)).astype(np.int32)
    frontier[rng.random(frontier.shape) < 0.15] = -1
    anchors = rng.integers(-25, 65, 9).astype(np.int32)
    found = check(adjacency, device, frontier, anchors, keys_of(9), fanout, Rule(strategy, cap))
    full, empty = (found >= 0).all(axis=-1), (found < 0).all(axis=-1)
    assert full.sum() > 10 and empty.sum() > 3


def test_page_locked_arrays_are_read_in_place(device):
    adjacency = random_graph(3, 50, 1_500, weighted=True)
    frontier, anchors = np.arange(48, dtype=np.int32).reshape(8, 6), np.full(8, 40, np.int32)
    check(adjacency, device, frontier, anchors, keys_of(8), 5, Rule("weighted"), "pinned")


def test_without_weights_weighted_is_uniform(device):
    adjacency = random_graph(4, 20, 800)
    frontier, anchors = np.arange(20, dtype=np.int32).reshape(4, 5), np.full(4, 99, np.int32)
    args = (adjacency, device, frontier, anchors, keys_of(4), 6)
    np.testing.assert_array_equal(check(*args, Rule("weighted")), check(*args, Rule("uniform")))


@pytest.mark.parametrize("shape", [(1, 1), (300, 1), (1, 300), (65, 5)])
def test_blocks_that_are_not_full(device, shape):
    adjacency = random_graph(5, 30, 600)
    frontier = np.random.default_rng(0).integers(0, 30, shape).astype(np.int32)
    check(adjacency, device, frontier, np.full(shape[0], 50, np.int32), keys_of(shape[0]), 4, Rule())


def test_a_fanout_of_more_than_a_program_holds_at_once(device):
    adjacency = random_graph(6, 2, 3_000, weighted=True)
    frontier, anchors = np.array([[0, 1]], np.int32), np.array([60], np.int32)
    found = check(adjacency, device, frontier, anchors, keys_of(1), 70, Rule("weighted"))
    assert (found >= 0).all()


def test_nothing_to_sample(device):
    adjacency = csr(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64), 3)
    found = check(
        adjacency, device, np.array([[0, 2, -1]], np.int32), np.zeros(1, np.int32), keys_of(1), 2, Rule("uniform")
    )
    assert (found == -1).all()
    for frontier in (np.zeros((0, 4), np.int32), np.zeros((4, 0), np.int32)):
        anchors = np.zeros(len(frontier), np.int32)
        assert check(adjacency, device, frontier, anchors, keys_of(len(frontier)), 3, Rule()).size == 0


def test_heavy_weights_fill_63_bits(device):
    # As 2**31 edges of the largest weight would have them: just under 2**63, and past 2**64 where the sum goes on.
    adjacency = random_graph(8, 1, 40)
    bounds = np.linspace(0, 2**63 - 2**40, 41).astype(np.uint64) + np.uint64(2**63)
    stretched = type(adjacency)(adjacency.indptr, adjacency.neighbors, adjacency.times, bounds)
    frontier, anchors = np.zeros((50, 2), np.int32), np.full(50, 60, np.int32)
    check(stretched, device, frontier, anchors, keys_of(50), 9, Rule("weighted"))


def test_an_edge_stamped_at_its_anchor_counts_and_a_second_later_does_not(device):
    ten = np.arange(10)
    adjacency = csr(np.zeros(10, np.int64), ten, ten, 1)
    found = check(
        adjacency, device, np.zeros((3, 1), np.int32), np.array([3, 2, -1], np.int32), keys_of(3), 20, Rule("last")
    )
    assert found[:, 0, 0].tolist() == [3, 2, -1]


def test_ended_nodes_leave_their_slot_empty(device):
    ten = np.arange(10)
    tensors = tensors_of(csr(np.zeros(10, np.int64), ten, ten, 1), device)
    ends = torch.tensor([5, 9, 10, 11, 2**31 - 1, 0, 9, 9, 9, 12], dtype=torch.int32, device=device)
    anchors = torch.tensor([10, 2**31 - 1], dtype=torch.int32, device=device)
    frontier, keys = torch.zeros((2, 1), dtype=torch.int32, device=device), torch.zeros(2, dtype=torch.int64).to(device)
    nodes, times = sample_neighbors(tensors, frontier, anchors, keys, 10, Rule("last"), ends)
    assert nodes[0, 0].tolist() == [9, -1, -1, -1, -1, 4, 3, -1, -1, -1]
    assert times[0, 0].tolist() == [9, *[ALWAYS] * 4, 4, 3, *[ALWAYS] * 3]
    # At the end of time nothing has ended.
    assert nodes[1, 0].tolist() == ten[::-1].tolist()


def test_keys_are_made_in_the_kernel_as_the_reference_makes_them(device):
    rng = np.random.default_rng(11)
    adjacency, edges = random_graph(seed=4, nodes=50, edges=900), np.array([0, 1, -1, 2**63 - 1, -(2**63), 2**32])
    examples = np.concatenate([edges, rng.integers(-(2**63), 2**63 - 1, 30)])
    frontier = rng.integers(-1, 50, (36, 3)).astype(np.int32)
    seeds, anchors = rng.integers(0, 2**31, 36), rng.integers(-(2**31), 2**31, 36).astype(np.int32)
    streams = np.array([stream_key(seed, 3, "hop/edges_rev") for seed in (0, 5, 2**64 - 1)], np.uint64)
    on_device = torch.from_numpy(streams.view(np.int64)).to(device)
    rows, limits = torch.from_numpy(frontier).to(device), torch.from_numpy(anchors).to(device)
    graph, rule, total = (
        tensors_of(adjacency, device),
        Rule("uniform"),
        torch.zeros(1, dtype=torch.int64, device=device),
    )
    wanted = 0
    for number, stream in enumerate(streams):
        own = on_device[number : number + 1]
        for values, of_seeds in ((examples, False), (seeds, True)):
            identities = default_examples(seeds, anchors) if of_seeds else values
            made = DrawKeys(torch.from_numpy(values).to(device), own, of_seeds)
            found = sample_neighbors(graph, rows, limits, made, 4, rule, edges=total)
            nodes, times = expected(adjacency, frontier, anchors, example_keys(stream, identities), 4, rule)
            np.testing.assert_array_equal(found[0].cpu().numpy(), nodes)
            np.testing.assert_array_equal(found[1].cpu().numpy(), times)
            wanted += (nodes >= 0).sum()
    assert int(total) == wanted > 0
