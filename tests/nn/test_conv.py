"""Convolutions on blocks equal PyG's on the same samples, and see only the slots that hold a neighbor."""

import numpy as np
import pytest
import torch
from torch_geometric.nn import GATv2Conv as PyGGATv2Conv
from torch_geometric.nn import HeteroConv
from torch_geometric.nn import SAGEConv as PyGSAGEConv

from gnnscale.batches.blocks.block_loader import BlockLoader
from gnnscale.nn.conv.block_network import BlockNetwork
from gnnscale.nn.conv.gatv2 import GATv2Conv
from gnnscale.nn.conv.importance import ImportanceConv
from gnnscale.nn.conv.sage import SAGEConv, pool
from gnnscale.sampling import NeighborSampler
from gnnscale.sampling.hetero_data import pyg_edge_type
from gnnscale.schema import ConfigError, EdgeType, Link, RelationManifest

DAY = 86_400
PARENTS, CHILDREN = torch.Size([3, 4, 5]), torch.Size([3, 4, 6, 7])


@pytest.fixture
def slots() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Parents, children and which children are there; the first parent has none."""
    generator = torch.Generator().manual_seed(1)
    parents, children = torch.randn(PARENTS, generator=generator), torch.randn(CHILDREN, generator=generator)
    present = torch.rand(CHILDREN[:-1], generator=generator) < 0.6
    present[0, 0] = False
    return parents, children, present


@pytest.mark.parametrize("pooling", ["mean", "sum", "max"])
def test_pooling_is_that_of_the_neighbors_that_are_there(slots, pooling):
    _, children, present = slots
    found = pool(children, present, pooling)
    for at in np.ndindex(*PARENTS[:-1]):
        own = children[at][present[at]]
        pooled = own.amax(0) if pooling == "max" and len(own) else own.mean(0) if pooling == "mean" else own.sum(0)
        expected = pooled if len(own) else torch.zeros(7)
        torch.testing.assert_close(found[at], expected)


def test_a_weighted_mean_is_the_sum_of_shares(slots):
    _, children, present = slots
    weights = torch.rand(present.shape)
    found = pool(children, present, "mean", weights)
    for at in np.ndindex(*PARENTS[:-1]):
        share = weights[at] * present[at]
        expected = (children[at] * share[:, None]).sum(0) / share.sum() if present[at].any() else torch.zeros(7)
        torch.testing.assert_close(found[at], expected)


@pytest.mark.parametrize("conv", [SAGEConv, GATv2Conv, ImportanceConv])
def test_what_lies_in_an_absent_slot_counts_for_nothing(slots, conv):
    parents, children, present = slots
    torch.manual_seed(0)
    layer = conv(5, 7, 8)
    message = layer(parents, children, present)
    assert message.shape == (3, 4, 8) and (message[0, 0] == 0).all() and (message[1] != 0).any()
    other = torch.where(present.unsqueeze(-1), children, torch.full_like(children, 1e6))
    torch.testing.assert_close(layer(parents, other, present), message)


def test_importance_pooling_is_worked_by_hand():
    layer = ImportanceConv(2, 2, 1, hidden=2)
    with torch.no_grad():
        layer.neighbor.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
        layer.neighbor.bias.copy_(torch.tensor([0.0, 1.0]))
        layer.linear.weight.copy_(torch.tensor([[1.0, 10.0]]))
    children = torch.tensor([[[2.0, 3.0], [4.0, 0.0], [9.0, 9.0]]])
    present, visits = torch.tensor([[True, True, False]]), torch.tensor([[3.0, 1.0, 5.0]])
    # ReLU gives (2, 0) and (4, 1); visits weigh them 3 to 1.
    found = layer(torch.zeros(1, 2), children, present, visits)
    torch.testing.assert_close(found, torch.tensor([[(3 * 2 + 4) / 4 + 10 * 1 / 4]]))


def test_attention_is_that_of_pyg(slots):
    parents, children, present = slots
    layer = GATv2Conv(5, 7, 8, heads=2)
    peer = PyGGATv2Conv((7, 5), 4, heads=2, add_self_loops=False, bias=False)
    with torch.no_grad():
        peer.lin_l.weight.copy_(layer.value.weight)
        peer.lin_r.weight.copy_(layer.query.weight)
        peer.att.copy_(layer.attention.unsqueeze(0))
        peer.lin_l.bias, peer.lin_r.bias = None, None
    at = present.reshape(12, 6).nonzero()
    edges = torch.stack([torch.arange(len(at)), at[:, 0]])
    expected = peer((children.reshape(12, 6, 7)[at[:, 0], at[:, 1]], parents.reshape(12, 5)), edges)
    torch.testing.assert_close(layer(parents, children, present).reshape(12, 8), expected)


def features_of(store) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        table.name: rng.normal(size=(table.rows, 3 + i)).astype(np.float32)
        for i, table in enumerate(store.manifest.tables)
    }


def test_a_network_on_blocks_equals_pyg_on_the_same_samples(store):
    features = features_of(store)
    sampler = NeighborSampler(store, [3, 2], "uniform", table="customers")
    loader = BlockLoader(sampler, features, np.arange(20), np.full(20, 40 * DAY, np.int32), batch_size=20)
    widths = {name: array.shape[1] for name, array in features.items()}
    torch.manual_seed(0)
    network = BlockNetwork(tuple(sampler.paths), "customers", widths, 6, 4)
    batch = loader.build(np.arange(20))
    found = network(*batch.inputs())

    block = sampler.sample(np.arange(20), np.full(20, 40 * DAY, np.int32))
    data = block.to_hetero_data(features)
    state = data.x_dict
    for layer, (own, messages) in enumerate(zip(network.own, network.messages, strict=True)):
        convolutions = {}
        for edge_type in {path[-1] for path in sampler.paths}:
            if edge_type.table_name in messages:
                ours = messages[edge_type.table_name].linear
                peer = PyGSAGEConv((ours.in_features, 1), ours.out_features, bias=False, root_weight=False)
                with torch.no_grad():
                    peer.lin_l.weight.copy_(ours.weight)
                convolutions[pyg_edge_type(edge_type)] = peer
        pooled = HeteroConv(convolutions, aggr="sum")(state, data.edge_index_dict)
        following = {}
        for table in {network.table_of(path) for path in network.paths if len(path) < 2 - layer}:
            linear = own[f"nodes_{table}"]
            value = linear(state[table]) + pooled.get(table, 0)
            following[table] = torch.relu(value) if layer == 0 else value
        state = following
    torch.testing.assert_close(found, state["customers"][:20])
    # All of its parameters count.
    found.square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("table", ["items", "keys", "training"])
def test_tables_may_be_called_like_methods_of_modules(table):
    link = RelationManifest(table, "bought_with", table, 1, 1, 0, 0).link
    path = (EdgeType(link, reverse=False),)
    features = {(): torch.ones(2, 3), path: torch.ones(2, 5, 3)}
    present = {name: values[..., 0] > 0 for name, values in features.items()}
    assert BlockNetwork((path,), table, {table: 3}, 4, 2)(features, present).shape == (2, 2)
    codes = {name: torch.zeros(*slots.shape, 1, dtype=torch.int32) for name, slots in present.items()}
    network = BlockNetwork((path,), table, {table: 3}, 4, 2, categories={table: (7,)})
    assert network(features, present, None, codes).shape == (2, 2)
    with pytest.raises(ConfigError, match=f"categories of '{table}', and was given no codes"):
        network(features, present)


def test_a_pooling_or_heads_that_are_not_there_are_named():
    with pytest.raises(ConfigError, match=r"unknown pooling 'men'.*mean"):
        SAGEConv(1, 1, 1, "men")
    with pytest.raises(ConfigError, match="3 heads don't divide 8 channels"):
        GATv2Conv(1, 1, 8, heads=3)


@pytest.mark.parametrize("categories", [{}, {"b": (7,)}])
def test_features_of_half_the_width_go_with_weights_of_the_full_one(categories):
    path = (EdgeType(Link("b", "b_id", "a"), reverse=True),)
    torch.manual_seed(0)
    network = BlockNetwork((path,), "a", {"a": 3, "b": 5}, 4, 2, categories=categories)
    features = {(): torch.randn(6, 3), path: torch.randn(6, 4, 5)}
    present = {(): torch.ones(6, dtype=torch.bool), path: torch.rand(6, 4) < 0.7}
    codes = {(): torch.zeros(6, 0, dtype=torch.int32), path: torch.ones(6, 4, 1, dtype=torch.int32)}
    small = {path: values.bfloat16() for path, values in features.items()}
    found, expected = (network(values, present, None, codes) for values in (small, features))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(network(small, present, None, codes).float(), expected, rtol=0.1, atol=0.1)
