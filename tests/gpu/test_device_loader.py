"""Blocks made on a device are those of the loader in memory; smaller features are near them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gnnscale.arrays import Ragged
from gnnscale.batches import CategoryCodes, ListColumn
from gnnscale.batches.blocks.block_loader import BlockLoader
from gnnscale.batches.blocks.device_loader import DeviceBlockLoader
from gnnscale.sampling import HotRows, NeighborSampler
from gnnscale.sampling.backends.triton import device_features, neighbor_kernel
from gnnscale.sampling.backends.triton.placement import Memory
from gnnscale.store import GraphStore
from tests.gpu.graphs import DAY

FANOUTS = [3, 2]
BOUNDS = {"fp32": 0.0, "fp16": 1e-3, "bf16": 1e-2, "int8": 1e-2}
"""Largest error as a share of the largest feature."""


def loader_of(store: GraphStore, **options: object) -> BlockLoader:
    sampler = NeighborSampler(store, FANOUTS, "uniform", 2, table="customers")
    features = {t.name: np.asarray(store.features(t.name).numerical) for t in store.manifest.tables}
    rng = np.random.default_rng(1)
    seeds = rng.integers(0, store.node_count("customers"), 26)
    values = rng.integers(0, 4, (store.node_count("products"), 3)).astype(np.int32)
    tags = [Ragged.from_lists([rng.integers(1, 5, rng.integers(0, most)) for _ in values]) for most in (1, 4)]
    columns = (3, 3, 3, ListColumn(4, 1), ListColumn(4, 3))
    codes = {
        "products": CategoryCodes(values, columns, tuple(tags)),
        "customers": CategoryCodes(
            np.zeros((store.node_count("customers"), 0), np.int32),
            (ListColumn(4, 2),),
            (Ragged.from_lists([[1, 3]] * store.node_count("customers")),),
        ),
    }
    return BlockLoader(sampler, features, seeds, np.full(26, 45 * DAY, np.int32), batch_size=9, codes=codes, **options)


@pytest.mark.parametrize("feature_type", BOUNDS)
@pytest.mark.parametrize("place", ["device", "mapped"])
def test_blocks_are_those_of_the_loader_in_memory(
    shop: GraphStore, device: torch.device, feature_type: str, place: str
) -> None:
    memory = loader_of(shop)
    loader = DeviceBlockLoader(memory, device, feature_type, placement={"features": place, "codes": place})
    assert loader.paths == memory.paths and loader.widths == memory.widths
    assert loader.categories == memory.categories and {t.placement for t in loader.codes.values()} == {place}
    stored = loader_of(shop)
    if feature_type != "fp32":
        stored.store_features(feature_type)
    for expected, same, found in zip(memory.epoch(1), stored.epoch(1), loader.epoch(1), strict=True):
        found = found.to(device)
        assert found.hops == expected.hops and found.edges == expected.edges
        assert torch.equal(found.rows.cpu(), expected.rows)
        for nodes, wanted in zip(found.nodes, expected.nodes, strict=True):
            assert torch.equal(nodes.cpu(), wanted)
        for codes, wanted in zip(found.codes, expected.codes, strict=True):
            assert codes.device.type == device.type and torch.equal(codes.cpu(), wanted)
        for values, wanted in zip(found.features, expected.features, strict=True):
            assert values.device.type == device.type and values.dtype == torch.float32
            bound = BOUNDS[feature_type] * float(wanted.abs().max())
            torch.testing.assert_close(values.cpu(), wanted, rtol=0, atol=bound)
        # Stored in as few bits on the host, they are the same numbers.
        for values, wanted in zip(found.features, same.features, strict=True):
            assert torch.equal(values.cpu(), wanted)


def test_features_come_in_the_type_that_the_network_computes_with(shop: GraphStore, device: torch.device) -> None:
    block = DeviceBlockLoader(loader_of(shop), device, "fp16", torch.bfloat16).build(np.arange(4))
    assert {values.dtype for values in block.features} == {torch.bfloat16}
    assert {codes.dtype for codes in block.codes} == {torch.int32}


def test_features_that_do_not_fit_stay_mapped(shop: GraphStore, device: torch.device) -> None:
    loader = DeviceBlockLoader(loader_of(shop), device, memory=Memory(0, 0))
    assert {table.placement for table in (*loader.features.values(), *loader.codes.values())} == {"mapped"}
    whole = DeviceBlockLoader(loader_of(shop), device, memory=Memory(1 << 30, 0))
    assert {table.placement for table in (*whole.features.values(), *whole.codes.values())} == {"device"}


def test_rows_that_most_edges_lead_to_are_kept_on_the_device(shop: GraphStore, device: torch.device) -> None:
    place = {"features": "pinned", "codes": "mapped"}
    everything = DeviceBlockLoader(loader_of(shop), device, placement=place, memory=Memory(1 << 30, 1 << 30))
    graph = (1 << 30) - everything.sampler.memory_left.device
    tables, wanted = list(everything.features), everything.build(np.arange(26)).features
    sizes = {table: shop.node_count(table) for table in tables}
    row = {table: everything.features[table].values.shape[1] * 4 for table in tables}
    # Room for the slots of all tables, and for so many rows of products.
    part = max(HotRows.bytes_beside(sizes["products"]) + 5 * row["products"], 1)
    loader = DeviceBlockLoader(
        loader_of(shop), device, placement=place, memory=Memory(graph + part * len(tables), 1 << 30)
    )
    hot = loader.features["products"].hot
    assert hot is not None and len(hot.values) == 5
    reached = {path[-1] for path in loader.paths if path[-1].target == "products"}
    counts = sum(np.bincount(shop.adjacency(edge).neighbors, minlength=sizes["products"]) for edge in reached)
    kept = (hot.slots >= 0).cpu().numpy()
    assert counts[kept].min() >= counts[~kept].max() and counts[kept].min() > 0
    for values, same in zip(loader.build(np.arange(26)).features, wanted, strict=True):
        assert torch.equal(values, same)
    none = DeviceBlockLoader(loader_of(shop), device, placement=place, memory=Memory(graph, 1 << 30))
    assert all(table.hot is None for table in none.features.values())


def test_a_limit_of_memory_is_for_graph_and_features_together(shop: GraphStore, device: torch.device) -> None:
    whole = DeviceBlockLoader(loader_of(shop), device, memory=Memory(1 << 30, 0))
    graph = (1 << 30) - whole.sampler.memory_left.device
    features = {name: table.values.nbytes for name, table in whole.features.items()}
    limit = graph + sum(features.values()) - 1
    loader = DeviceBlockLoader(loader_of(shop), device, memory=Memory(limit, 0))
    assert set(loader.sampler.placement.values()) == {"device"}
    taken = [table.values.nbytes for table in loader.features.values() if table.placement == "device"]
    taken += [codes.values.values.nbytes for codes in loader.codes.values() if codes.placement == "device"]
    assert 0 < sum(taken) <= limit - graph and "mapped" in {t.placement for t in loader.features.values()}


class Launched:
    """In the place of a kernel: how often it was to be launched."""

    def __init__(self) -> None:
        self.times = 0

    def __getitem__(self, grid: object) -> object:
        self.times += 1
        return lambda *_, **__: None


class Computed(TorchDispatchMode):
    """What torch computes on a device, beside views and memory that it takes."""

    FREE = ("view", "empty", "slice", "detach", "lift_fresh")

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names += [] if function.overloadpacket.__name__.startswith(self.FREE) else [function.name()]
        return function(*args, **(kwargs or {}))


def test_a_batch_takes_a_kernel_a_hop_and_a_table_and_little_beside(
    shop: GraphStore, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = loader_of(shop)
    plain.codes = {}
    loader = DeviceBlockLoader(plain, device)
    loader.build(np.arange(9))
    monkeypatch.setattr(neighbor_kernel, "_sample", sampled := Launched())
    monkeypatch.setattr(device_features, "_gather", gathered := Launched())
    with Computed() as computed:
        loader.build(np.arange(9))
    hops = len(loader.paths)
    assert (sampled.times, gathered.times) == (hops, hops + 1)
    # The range of the seeds is looked at on the host; that no neighbor is counted yet, and seeds as int32, are left.
    on_host = ["aten::min", "aten::_local_scalar_dense", "aten::max", "aten::_local_scalar_dense"]
    assert sorted(computed.names) == sorted([*on_host, "aten::zeros", "aten::_to_copy"])


def test_memory_is_shared_with_the_other_processes_of_the_host(shop: GraphStore, device: torch.device) -> None:
    loader = DeviceBlockLoader(loader_of(shop), device, processes=10**15)
    placed = {*loader.sampler.placement.values(), *(table.placement for table in loader.features.values())}
    assert placed == ({"device"} if device.type == "cuda" else {"mapped"})


def test_the_next_block_is_made_on_a_stream_of_its_own(shop: GraphStore, cuda: torch.device) -> None:
    loader = DeviceBlockLoader(loader_of(shop), cuda)
    block = loader.build(np.arange(9))
    assert block.ready is not None
    # Work on the current stream before it is received does not hold it up, and what follows sees it whole.
    total = sum(float(values.sum()) for values in block.to(cuda).features)
    expected = sum(float(values.sum()) for values in loader.loader.build(np.arange(9)).features)
    assert total == pytest.approx(expected, rel=1e-4, abs=1e-3)
