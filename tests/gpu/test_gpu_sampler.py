"""The GPU's sampler gives the blocks of the NumPy sampler, wherever its arrays live."""

import numpy as np
import pytest
import torch

from gnnscale.sampling import NeighborSampler
from gnnscale.sampling.backends.triton.device_sampler import GPUNeighborSampler, find_device
from gnnscale.sampling.backends.triton.placement import Memory
from gnnscale.schema import ConfigError, SchemaError
from tests.gpu.graphs import CUSTOMERS, DAY

SEEDS = np.arange(CUSTOMERS)
ANCHORS = np.linspace(0, 60 * DAY, CUSTOMERS).astype(np.int32)
FANOUTS = [
    {"purchases.customer_id": 6},
    {"purchases.product_id": 1},
    {"products.similar": 5, "rev_products.similar": 3},
]


def blocks(shop, device, times=ANCHORS, examples=None, strategy="uniform", cap=None, **options):
    """The same sample of the GPU's sampler, on the host, and of the reference."""
    ours = GPUNeighborSampler(shop, FANOUTS, strategy, 5, "customers", cap, device, **options)
    theirs = NeighborSampler(shop, FANOUTS, strategy, 5, "customers", "numpy", cap)
    return ours.sample(SEEDS, times, 2, examples).to_host(), theirs.sample(SEEDS, times, 2, examples)


def check(found, wanted, at_least: int = 100) -> None:
    assert found.table == wanted.table and list(found.hops) == list(wanted.hops)
    np.testing.assert_array_equal(found.seeds, wanted.seeds)
    np.testing.assert_array_equal(found.times, wanted.times)
    for path, hop in wanted.hops.items():
        np.testing.assert_array_equal(found.hops[path].nodes, hop.nodes)
        np.testing.assert_array_equal(found.hops[path].times, hop.times)
        assert found.hops[path].nodes.dtype == np.int32 and (hop.nodes >= 0).sum() > at_least


@pytest.mark.parametrize("cap", [None, 8])
@pytest.mark.parametrize("strategy", ["uniform", "last", "weighted"])
def test_blocks_are_those_of_the_reference(shop, device, strategy, cap):
    check(*blocks(shop, device, strategy=strategy, cap=cap), at_least=50)


def test_without_times_and_with_examples(shop, device):
    check(*blocks(shop, device, times=None))
    check(*blocks(shop, device, examples=np.arange(CUSTOMERS) * -3))


@pytest.mark.parametrize(
    "placement", ["device", "pinned", "mapped", {"times": "mapped"}, {"valid_until": "mapped"}, {"neighbors": "pinned"}]
)
def test_places_do_not_change_the_sample(shop, device, placement):
    check(*blocks(shop, device, strategy="weighted", placement=placement), at_least=50)


def test_what_does_not_fit_is_sampled_by_the_host(shop, device):
    options = {"memory": Memory(19_000, 0)}
    sampler = GPUNeighborSampler(shop, FANOUTS, table="customers", device=device, **options)
    by_type = {name: {p for (n, a), p in sampler.placement.items() if n == name} for name, _ in sampler.placement}
    edges = {name: found for name, found in by_type.items() if name.startswith("edges")}
    # No edge type is half on the device, some are on it, and not all.
    assert all(len(found) == 1 for found in edges.values())
    assert {place for found in edges.values() for place in found} == {"device", "mapped"}
    check(*blocks(shop, device, **options))


def test_seeds_may_be_tensors_and_a_sample_does_not_depend_on_its_batch(shop, device):
    sampler = GPUNeighborSampler(shop, FANOUTS, table="customers", device=device)
    whole = sampler.sample(SEEDS, ANCHORS)
    part = sampler.sample(torch.arange(7, 20, device=device), torch.from_numpy(ANCHORS[7:20]).to(device))
    assert all(hop.nodes.device.type == device.type for hop in part.hops.values())
    for path, hop in part.hops.items():
        assert torch.equal(hop.nodes, whole.hops[path].nodes[7:20])
    other = sampler.sample(SEEDS, ANCHORS, epoch=1)
    assert not all(torch.equal(hop.nodes, other.hops[path].nodes) for path, hop in whole.hops.items())


def test_no_seeds_give_an_empty_block(shop, device):
    block = GPUNeighborSampler(shop, FANOUTS, table="customers", device=device).sample([], [])
    assert [hop.nodes.shape for hop in block.hops.values()] == [(0, 6), (0, 6, 1), (0, 6, 1, 5), (0, 6, 1, 3)]


def test_a_seed_that_is_no_node_is_an_error(shop, device):
    sampler = GPUNeighborSampler(shop, FANOUTS, table="customers", device=device)
    with pytest.raises(SchemaError, match=r"seeds of 'customers' must be in 0 .. 39, not 3 .. 40"):
        sampler.sample([3, 40])
    with pytest.raises(SchemaError, match=r"not -1 .. 3"):
        sampler.sample(torch.tensor([3, -1], device=device))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"strategy": "weigted"}, "unknown sampling strategy 'weigted'"),
        ({"table": "customer"}, "unknown table 'customer'"),
        ({"table": None}, "the graph has several tables"),
        ({"cap": 2}, "sampling cap is 2, less than the largest fan-out"),
        ({"placement": "disk"}, "placement of 'indptr' is 'disk'"),
        ({"device": "gpu"}, "sampling device is 'gpu'; cuda"),
        ({"device": "cuda:99"}, "sampling device is 'cuda:99', and torch sees . CUDA devices here"),
        ({"device": "meta"}, "sampling device is 'meta'; cuda"),
    ],
)
def test_what_makes_no_sense_is_an_error(shop, device, options, says):
    with pytest.raises(ConfigError, match=says):
        GPUNeighborSampler(shop, FANOUTS, **{"table": "customers", "device": device, **options})


def test_the_cpu_is_for_the_interpreter_alone(device):
    if device.type == "cpu":
        assert find_device("cpu") == torch.device("cpu")
    else:
        with pytest.raises(ConfigError, match="takes Triton's interpreter"):
            find_device("cpu")
