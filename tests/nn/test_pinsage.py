"""PinSage's network gives an item the same vector in layers of distinct nodes, in whole blocks, and layer by layer."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from gnnscale.batches import LayeredBuilder, category_codes, walk_hop
from gnnscale.inference.layerwise import embed_layerwise
from gnnscale.nn import PinSageNetwork, PinSageTowers, build_convolution
from gnnscale.sampling import MostVisited, WalkedNeighbors, WalkRule, WalkSampler

ANCHOR = 40 * 86_400
CYCLE = ["purchases.product_id", "purchases.customer_id", "purchases.customer_id", "purchases.product_id"]


def network_of(builder: LayeredBuilder, layers: int, **options) -> PinSageNetwork:
    torch.manual_seed(0)
    hop, codes = walk_hop(builder.visited.walker), builder.codes
    return PinSageNetwork(
        tuple((hop,) * depth for depth in range(1, layers + 1)),
        "products",
        builder.features.shape[1],
        8,
        6,
        build_convolution({"name": "importance", **options}),
        None if codes is None else {"products": codes.categories},
        3,
    )


def builder_of(store, layers: int, coded: bool = True, kept_bytes: int = 1 << 20) -> LayeredBuilder:
    walker = WalkSampler(store, CYCLE, WalkRule(40, top=5), seed=1, table="products")
    features = np.random.default_rng(0).normal(size=(store.node_count("products"), 4)).astype(np.float32)
    codes = category_codes(store, "products") if coded else None
    return LayeredBuilder(MostVisited(walker, kept_bytes), layers, features, codes)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("weighted", [True, False])
def test_each_way_gives_the_same_vectors(store, tmp_path: Path, layers, weighted):
    builder = builder_of(store, layers)
    network = network_of(builder, layers, weighted=weighted).eval()
    nodes = np.arange(store.node_count("products"))
    block = builder.build(nodes[::2], nodes[1::2], ANCHOR)
    with torch.no_grad():
        entity, target = PinSageTowers(network)(block)
        assert torch.allclose(entity.norm(dim=1), torch.tensor(1.0))
        assert torch.allclose(PinSageTowers(network, 0.25)(block).target, 2 * target), "cosines over the temperature"
        # Whole blocks: [batch, top, top, ...].
        hops, near, weights = {(): nodes}, {}, {}
        for path in network.paths[1:]:
            above = hops[path[:-1]]
            found, share = builder.visited.find(np.maximum(above, 0).ravel(), ANCHOR)
            shape = (*above.shape, 5)
            hops[path] = np.where(above[..., None] < 0, -1, found.reshape(shape))
            weights[path] = torch.from_numpy(share.reshape(shape))
        for path, held in hops.items():
            near[path] = torch.from_numpy(held >= 0)
        features = {path: torch.from_numpy(builder.features[held]) for path, held in hops.items()}
        codes = {path: torch.from_numpy(builder.codes.gather(held)) for path, held in hops.items()}
        whole = network(features, near, weights, codes)
    given = {"products": builder.features}, tmp_path, ANCHOR, WalkedNeighbors(builder.visited)
    layerwise = embed_layerwise(network, store, *given, 40, codes={"products": builder.codes})
    for vectors in (whole, layerwise):
        np.testing.assert_allclose(np.asarray(vectors)[::2], entity, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(np.asarray(vectors)[1::2], target, rtol=1e-4, atol=1e-5)


def test_a_layer_is_that_of_the_paper(store):
    """Worked out item by item, with W as one matrix over the concatenation."""
    builder = builder_of(store, 1, coded=False)
    network, nodes = network_of(builder, 1), np.arange(12)
    features = torch.from_numpy(builder.features)
    (own,), (message,) = network.own[0].values(), network.messages[0].values()
    joined = torch.cat([own.weight, message.linear.weight], dim=1)
    found, share = builder.visited.find(nodes, ANCHOR)
    with torch.no_grad():
        vectors = network.encode_layers(builder.build(nodes, nodes[:0], ANCHOR))
        for node in nodes:
            said = functional.relu(message.neighbor(features))
            pooled = sum(w * said[n] for n, w in zip(found[node], share[node], strict=True) if n >= 0)
            assert share[node].sum() == pytest.approx(1) and node not in found[node]
            state = functional.relu(joined @ torch.cat([features[node], pooled]) + own.bias)
            state = network.dense(state / state.norm())
            np.testing.assert_allclose(vectors[node], state / state.norm(), rtol=1e-4, atol=1e-5)


def test_every_weight_learns(store):
    builder = builder_of(store, 2)
    network = network_of(builder, 2)
    outputs = PinSageTowers(network)(builder.build(np.arange(10), np.arange(10, 20), ANCHOR))
    (outputs.entity * outputs.target).sum().backward()
    silent = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert not silent
