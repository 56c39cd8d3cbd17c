"""Layer by layer over the whole graph, nodes get what the network makes of blocks that hold all their neighbors."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gnnscale.arrays import Ragged
from gnnscale.batches import ListColumn
from gnnscale.batches.blocks.category_codes import CategoryCodes, category_codes
from gnnscale.batches.blocks.feature_block import FeatureBlock
from gnnscale.inference.layerwise import Inputs, Layer, Neighborhoods, embed_layerwise, layers_of, state_of
from gnnscale.nn.conv.block_network import BlockNetwork
from gnnscale.nn.conv.gatv2 import GATv2Conv
from gnnscale.nn.conv.importance import ImportanceConv
from gnnscale.nn.conv.sage import SAGEConv
from gnnscale.sampling import NeighborSampler
from gnnscale.schema import EdgeType
from gnnscale.store import Adjacency, GraphStore
from tests.valid_until import EndingStore, some_ends

DAY = 86_400
ANCHOR = 40 * DAY
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


class NearestConv(SAGEConv):
    """The first neighbor's message, by a pooling of its own."""

    def forward(self, parents: Tensor, children: Tensor, present: Tensor, weights: Tensor | None) -> Tensor:
        return self.of_pooled(children[..., 0, :] * present[..., :1]) + parents.sum(-1, keepdim=True)


CONVOLUTIONS: dict[str, Callable[[int, int, int], nn.Module]] = {
    "mean": SAGEConv,
    "sum": partial(SAGEConv, pooling="sum"),
    "max": partial(SAGEConv, pooling="max"),
    "attention": partial(GATv2Conv, heads=2),
    "importance": ImportanceConv,
    "made from the mean": NearestConv,
}


@pytest.fixture(scope="module")
def features(store: GraphStore) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        table.name: rng.normal(size=(table.rows, 3 + i)).astype(np.float32)
        for i, table in enumerate(store.manifest.tables)
    }


def tags_of(store: GraphStore) -> CategoryCodes:
    rng, count = np.random.default_rng(0), store.node_count("customers")
    lists = Ragged.from_lists([rng.integers(1, 7, rng.integers(0, 5)) for _ in range(count)])
    plain = category_codes(store, "customers")
    width = int(lists.counts.max())
    return CategoryCodes(plain.values, (*plain.categories, ListColumn(6, width)), (lists,))


def network_of(
    sampler: NeighborSampler,
    features: dict[str, np.ndarray],
    convolution: Callable[[int, int, int], nn.Module],
    codes: dict[str, CategoryCodes] | None = None,
) -> BlockNetwork:
    torch.manual_seed(1)
    widths = {name: array.shape[1] for name, array in features.items()}
    categories = {name: columns.categories for name, columns in (codes or {}).items()}
    network = BlockNetwork(tuple(sampler.paths), sampler.table, widths, 6, 4, convolution, categories, 5)
    for encoder in network.categories.values():
        # As training leaves them: a missing value counts, and a category as much as a number.
        nn.init.normal_(encoder.embeddings.weight)
    return network


def by_blocks(
    network: BlockNetwork,
    sampler: NeighborSampler,
    features: dict[str, np.ndarray],
    codes: dict[str, CategoryCodes] | None = None,
) -> np.ndarray:
    seeds = np.arange(sampler.store.node_count(sampler.table))
    block = sampler.sample(seeds, np.full(len(seeds), ANCHOR, np.int32))
    with torch.no_grad():
        return network(*FeatureBlock.of(block, seeds, features, codes=codes).inputs()).numpy()


@pytest.mark.parametrize("convolution", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
@pytest.mark.parametrize("table", ["customers", "products"])
def test_it_equals_the_network_on_blocks_that_hold_all_neighbors(
    store: GraphStore, features: dict[str, np.ndarray], tmp_path: Path, convolution, table: str
) -> None:
    # One product has a fifth of all purchases: no fan-out is cut, and every block is as wide as that.
    sampler = NeighborSampler(store, [150, 30], "last", table=table)
    codes = {t.name: category_codes(store, t.name) for t in store.manifest.tables if t.categorical}
    codes |= {"customers": tags_of(store)}
    network = network_of(sampler, features, convolution, codes)
    assert {"nodes_products", "nodes_purchases"} <= set(network.categories)
    done: list[int] = []
    options = {"chunk_edges": 64, "advance": done.append, "codes": codes}
    found = embed_layerwise(network, store, features, tmp_path, ANCHOR, **options)
    np.testing.assert_allclose(found, by_blocks(network, sampler, features, codes), **TOLERANCE)
    assert [path.name for path in tmp_path.iterdir()] == ["vectors.npy"]
    assert len(done) > 10 and sum(done) == sum(
        store.node_count(state.table) for states in layers_of(state_of(network, (), 2)) for state in states
    )


def test_paths_around_which_less_is_read_have_states_of_their_own(
    store: GraphStore, features: dict[str, np.ndarray], tmp_path: Path
) -> None:
    # Purchases are reached twice; those of products look up a customer, those of customers a product.
    hops = [{"purchases.customer_id": 150}, {"purchases.product_id": 150}, {"purchases.product_id": 150}]
    sampler = NeighborSampler(store, hops, "last", table="customers")
    network = network_of(sampler, features, SAGEConv)
    layers = layers_of(state_of(network, (), network.depth))
    assert [len(states) for states in layers] == [3, 2, 1]
    found = embed_layerwise(network, store, features, tmp_path, ANCHOR)
    np.testing.assert_allclose(found, by_blocks(network, sampler, features), **TOLERANCE)


def test_nodes_that_have_ended_are_no_neighbors(
    store: GraphStore, features: dict[str, np.ndarray], tmp_path: Path
) -> None:
    ending = EndingStore(store, {"purchases": some_ends(store, "purchases", 0, 2 * ANCHOR)})
    network = network_of(NeighborSampler(store, [150, 1], "last", table="customers"), features, SAGEConv)
    sampler = NeighborSampler(ending, [150, 1], "last", table="customers")
    found = embed_layerwise(network, ending, features, tmp_path / "ending", ANCHOR)
    np.testing.assert_allclose(found, by_blocks(network, sampler, features), **TOLERANCE)
    whole = embed_layerwise(network, store, features, tmp_path / "whole", ANCHOR)
    assert not np.allclose(found, whole, **TOLERANCE)


def test_fan_outs_bound_what_is_read(store: GraphStore, features: dict[str, np.ndarray], tmp_path: Path) -> None:
    sampler = NeighborSampler(store, [5, 5], "last", table="products")
    network = network_of(sampler, features, SAGEConv)
    names = [edge_type.name for edge_type in store.edge_types()]
    latest = Neighborhoods(dict.fromkeys(names, 5))
    found = embed_layerwise(network, store, features, tmp_path / "a", ANCHOR, latest)
    # The latest neighbors of a node are the same from wherever it is reached.
    np.testing.assert_allclose(found, by_blocks(network, sampler, features), **TOLERANCE)
    chosen = Neighborhoods(dict.fromkeys(names, 5), "uniform", seed=2)
    one = np.array(embed_layerwise(network, store, features, tmp_path / "b", ANCHOR, chosen))
    cut = np.array(embed_layerwise(network, store, features, tmp_path / "c", ANCHOR, chosen, chunk_edges=40))
    np.testing.assert_allclose(one, cut, **TOLERANCE)
    assert not np.allclose(one, found, **TOLERANCE)


class CrowdedStore(GraphStore):
    """A graph as it is, and a million more nodes without edges behind those of every table."""

    def __init__(self, store: GraphStore) -> None:
        super().__init__(store.manifest, store.folder)
        self.wide: dict[EdgeType, Adjacency] = {}
        for edge_type in store.edge_types():
            adjacency = store.adjacency(edge_type)
            indptr = np.pad(adjacency.indptr, (0, 1_000_000), mode="edge")
            self.wide[edge_type] = replace(adjacency, indptr=indptr)

    def node_count(self, table: str) -> int:
        return super().node_count(table) + 1_000_000

    def adjacency(self, edge_type: EdgeType) -> Adjacency:
        return self.wide[edge_type]


def test_nodes_that_are_not_worked_on_cost_nothing(store: GraphStore, features: dict[str, np.ndarray]) -> None:
    sampler = NeighborSampler(store, [5], "last", table="customers")
    network = network_of(sampler, features, SAGEConv)
    state, inputs = state_of(network, (), 1), Inputs(network, features, {})
    latest = Neighborhoods({edge_type.name: 5 for edge_type in store.edge_types()})
    crowded = CrowdedStore(store)

    def states(of: GraphStore, first: int, last: int) -> list[np.ndarray]:
        layer = Layer(network, state, of, inputs, {}, ANCHOR, latest)
        with torch.no_grad():
            return [layer.apply(nodes) for nodes in layer.chunks(40, first, last)]

    expected = states(store, 5, 25)
    states(crowded, 0, 5)  # compiles
    tracemalloc.start()
    found = states(crowded, 5, 25)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == len(expected) > 1
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert peak < 1 << 20, "a count of a million nodes has 8 MB"
