"""A node that has ended is not sampled from its end on, and neither is what it leads to."""

import numpy as np
import pytest

from gnnscale.sampling import NeighborSampler
from gnnscale.sampling.neighbor_sampler import drop_ended
from gnnscale.store import ALWAYS
from gnnscale.store.features import NEVER, NodeFeatures
from tests.sampling.graphs import BACKENDS
from tests.valid_until import EndingStore, some_ends

DAY = 86_400
SEEDS = np.arange(40)
FANOUTS = [
    {"purchases.customer_id": 6, "mailings.customer_id": 2},
    {"purchases.product_id": 1, "mailings.campaign_id": 1},
    {"purchases.product_id": 3},
]


@pytest.fixture
def ending(store) -> EndingStore:
    return EndingStore(
        store,
        {
            "products": some_ends(store, "products", 10 * DAY, 50 * DAY),
            "purchases": some_ends(store, "purchases", 10 * DAY, 60 * DAY, seed=1),
        },
    )


def sample(store, anchors, strategy: str = "last", backend: str = "numba"):
    sampler = NeighborSampler(store, FANOUTS, strategy, seed=4, table="customers", backend=backend)
    return sampler.sample(SEEDS, anchors)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("strategy", ["uniform", "last", "weighted"])
def test_exactly_what_has_ended_is_left_out_with_all_below_it(store, ending, strategy, backend):
    anchors = np.linspace(5 * DAY, 60 * DAY, 40).astype(np.int32)
    whole, found = (sample(graph, anchors, strategy, backend) for graph in (store, ending))
    deleted: dict[tuple, np.ndarray] = {}
    left_out = kept = below = 0
    for path, hop in whole.hops.items():
        ends = ending.valid_until.get(hop.table, np.full(store.node_count(hop.table), NEVER))
        limits = anchors.reshape(-1, *[1] * (hop.nodes.ndim - 1))
        ended = (hop.nodes >= 0) & (ends[hop.nodes] <= limits)
        above = deleted[path[:-1]][..., None] if len(path) > 1 else np.zeros(hop.nodes.shape, bool)
        deleted[path] = ended | above
        other = found.hops[path]
        assert (other.nodes[deleted[path]] == -1).all() and (other.times[deleted[path]] == ALWAYS).all()
        np.testing.assert_array_equal(other.nodes[~deleted[path]], hop.nodes[~deleted[path]])
        np.testing.assert_array_equal(other.times[~deleted[path]], hop.times[~deleted[path]])
        left_out += int(ended.sum())
        kept += int((other.nodes >= 0).sum())
        below += int(((hop.nodes >= 0) & ~ended & deleted[path]).sum())
    assert min(left_out, kept, below) > 20


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "numpy"])
@pytest.mark.parametrize("strategy", ["uniform", "last", "weighted"])
def test_every_backend_leaves_out_what_the_reference_does(ending, strategy, backend):
    anchors = np.linspace(0, 60 * DAY, 40).astype(np.int32)
    left, right = (sample(ending, anchors, strategy, name) for name in (backend, "numpy"))
    for path, hop in left.hops.items():
        np.testing.assert_array_equal(hop.nodes, right.hops[path].nodes)
        np.testing.assert_array_equal(hop.times, right.hops[path].times)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_node_is_there_a_second_before_its_end_and_not_at_it(store, backend):
    end = 30 * DAY
    ending = EndingStore(store, {"products": np.full(store.node_count("products"), end, np.int32)})
    bought = ("purchases.customer_id", "purchases.product_id")
    whole = sample(store, np.full(40, end, np.int32), backend=backend).hop(*bought)
    at, before = (sample(ending, np.full(40, t, np.int32), backend=backend).hop(*bought) for t in (end, end - 1))
    assert (whole.nodes >= 0).sum() > 50
    assert (at.nodes == -1).all()
    assert (before.nodes >= 0).sum() > 50


def test_without_times_nothing_has_ended(store, ending):
    whole, found = (
        NeighborSampler(graph, FANOUTS, "last", table="customers").sample(SEEDS) for graph in (store, ending)
    )
    for path, hop in whole.hops.items():
        np.testing.assert_array_equal(found.hops[path].nodes, hop.nodes)


def test_empty_slots_stay_empty_whatever_row_their_number_would_name():
    ends = np.array([NEVER, NEVER, 0], np.int32)
    features = NodeFeatures(np.zeros((3, 0), np.float32), np.zeros((3, 0), np.int32), np.zeros(3, np.int32), ends)
    nodes = np.array([[[0, -1], [2, 1]]], np.int32)
    stamps = np.array([[[5, ALWAYS], [6, 7]]], np.int32)
    drop_ended(nodes, stamps, features, np.array([9], np.int32))
    assert nodes.tolist() == [[[0, -1], [-1, 1]]]
    assert stamps.tolist() == [[[5, ALWAYS], [ALWAYS, 7]]]
