"""PyG's loaders and networks run on our samples, which are those of the sampler itself."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch_geometric.loader import LinkLoader, NodeLoader
from torch_geometric.nn import GraphSAGE, to_hetero
from torch_geometric.sampler import NegativeSampling

from gnnscale.sampling import NeighborSampler
from gnnscale.sampling.hetero_data import Trees, pyg_edge_type
from gnnscale.sampling.pyg import PyGSampler, describe_graph
from gnnscale.schema import EdgeType, SchemaError
from gnnscale.store import GraphStore

DAY = 86_400
FANOUTS = [4, 3]
BUYS = "rev_purchases_customer_id"


def numbers(store: GraphStore) -> dict[str, np.ndarray]:
    """Numerical columns of every table, and a column of ones."""
    return {
        table.name: np.column_stack([store.features(table.name).numerical, np.ones(table.rows, np.float32)])
        for table in store.manifest.tables
    }


def block_of(store, count=12, **options):
    sampler = NeighborSampler(store, FANOUTS, seed=2, table="customers", **options)
    return sampler.sample(np.arange(count), np.linspace(5 * DAY, 55 * DAY, count).astype(np.int32))


def test_a_block_unfolds_into_one_tree_a_seed(store):
    block = block_of(store)
    data = block.to_hetero_data(numbers(store))
    expected = Counter()
    for path, hop in block.hops.items():
        parents = block.hops[path[:-1]].nodes if len(path) > 1 else block.seeds
        for at in zip(*np.nonzero(hop.nodes >= 0), strict=True):
            expected[pyg_edge_type(path[-1]), at[0], hop.nodes[at], parents[at[:-1]]] += 1
    found = Counter()
    for edge_type in data.edge_types:
        child, parent = data[edge_type].edge_index
        source, target = data[edge_type[0]], data[edge_type[2]]
        assert (source.batch[child] == target.batch[parent]).all()
        ends = (source.batch[child], source.n_id[child], target.n_id[parent])
        for example, node, above in zip(*(end.tolist() for end in ends), strict=True):
            found[edge_type, example, node, above] += 1
        assert sum(data[edge_type].num_sampled_edges) == child.numel()
        # Every sampled node hangs on one edge, so that a graph of trees it is.
        assert len(torch.unique(torch.cat([child]))) == child.numel()
    assert found == expected and sum(expected.values()) > 100
    for table in data.node_types:
        np.testing.assert_array_equal(data[table].x, numbers(store)[table][data[table].n_id])
        assert sum(data[table].num_sampled_nodes) == data[table].num_nodes == len(data[table].n_id)
    assert data["customers"].n_id[:12].tolist() == list(range(12)) and data["customers"].batch_size == 12


@pytest.mark.parametrize("workers", [0, 2])
def test_a_node_loader_gives_the_samples_of_the_sampler(store, workers):
    nodes, times = torch.arange(30), torch.full((30,), 40 * DAY)
    loader = NodeLoader(
        describe_graph(store.manifest, numbers(store)),
        node_sampler=PyGSampler(store, FANOUTS, "uniform", seed=2),
        input_nodes=("customers", nodes),
        input_time=times,
        batch_size=7,
        num_workers=workers,
    )
    sampler = NeighborSampler(store, FANOUTS, "uniform", seed=2, table="customers")
    batches = list(loader)
    assert sum(batch["customers"].batch_size for batch in batches) == 30
    for batch in batches:
        rows = batch["customers"].input_id.numpy()
        block = sampler.sample(rows, np.full(len(rows), 40 * DAY, np.int32), examples=rows)
        trees = Trees.of([block])
        for table, expected in trees.nodes.items():
            assert batch[table].n_id.tolist() == expected.tolist()
        for edge_type, edges in trees.edges.items():
            np.testing.assert_array_equal(batch[edge_type].edge_index, edges)


def test_another_epoch_is_another_sample(store):
    sampler = PyGSampler(store, FANOUTS, "uniform")
    loader = NodeLoader(describe_graph(store.manifest, {}), sampler, input_nodes=("products", None), batch_size=30)

    def drawn() -> list[int]:
        return [n for batch in loader for n in batch["purchases"].n_id.tolist()]

    first, again = drawn(), drawn()
    sampler.epoch = 1
    assert first == again and first != drawn()


@pytest.mark.parametrize("negatives", [None, NegativeSampling("binary", 2.0), NegativeSampling("triplet", 2)])
def test_a_link_loader_samples_both_ends_and_nothing_after_the_link(store, negatives):
    link = next(e for e in store.edge_types() if e.table_name == "edges_purchases_product_id")
    adjacency = store.adjacency(link)
    source = np.repeat(np.arange(len(adjacency.degrees)), adjacency.degrees)
    links = torch.from_numpy(np.stack([source, adjacency.neighbors]).astype(np.int64))
    loader = LinkLoader(
        describe_graph(store.manifest, numbers(store)),
        link_sampler=PyGSampler(store, {"purchases": [2], "products": [3, 1]}, "last"),
        edge_label_index=((link.source, "purchases_product_id", link.target), links),
        edge_label_time=torch.from_numpy(adjacency.times.astype(np.int64)),
        neg_sampling=negatives,
        batch_size=64,
    )
    batch = next(iter(loader))
    count = 64 if negatives is None or negatives.is_triplet() else 64 * 3
    name = (link.source, "purchases_product_id", link.target)
    if negatives is None or negatives.is_binary():
        ends = batch[name].edge_label_index
        assert ends.shape == (2, count)
        assert batch["purchases"].n_id[ends[0, :64]].tolist() == links[0, :64].tolist()
        assert batch["products"].n_id[ends[1, :64]].tolist() == links[1, :64].tolist()
    else:
        assert batch["products"].dst_neg_index.shape == (64, 2)
    stamps = torch.from_numpy(adjacency.times.astype(np.int64))[:64]
    for edge_type in batch.edge_types:
        child, parent = batch[edge_type].edge_index
        if edge_type[0] == "purchases" and edge_type[2] == "products":
            when = torch.from_numpy(store.features("purchases").times.astype(np.int64))[batch["purchases"].n_id[child]]
            limit = stamps[batch["products"].batch[parent]]
            assert child.numel() > 64 and (when <= limit).all()


def test_a_stock_network_of_pyg_learns_from_it(store):
    torch.manual_seed(0)
    features = numbers(store)
    graph = describe_graph(store.manifest, features)
    buys = store.adjacency(EdgeType(next(e.link for e in store.edge_types() if e.table_name == f"edges_{BUYS}"), True))
    amount = features["purchases"][:, 0]
    wanted = np.zeros(store.node_count("customers"), np.float32)
    for node in range(len(wanted)):
        own = buys.neighbors[buys.indptr[node] : buys.indptr[node + 1]]
        wanted[node] = amount[own].mean() if len(own) else 0
    loader = NodeLoader(
        graph, PyGSampler(store, [64, 4], "uniform"), input_nodes=("customers", None), batch_size=10, shuffle=True
    )
    network = to_hetero(GraphSAGE(-1, 16, num_layers=2, out_channels=1), graph.metadata())
    optimiser = None
    losses = []
    for _ in range(30):
        total = 0.0
        for batch in loader:
            out = network(batch.x_dict, batch.edge_index_dict)["customers"][: batch["customers"].batch_size, 0]
            loss = ((out - torch.from_numpy(wanted)[batch["customers"].n_id[: len(out)]]) ** 2).sum()
            optimiser = optimiser or torch.optim.Adam(network.parameters(), 0.01)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item()
        losses.append(total / len(wanted))
    assert losses[-1] < 0.1 * float(np.var(wanted)), losses[::5]


def test_a_loader_that_does_not_name_a_table_is_told_so(store):
    from torch_geometric.sampler import EdgeSamplerInput, NodeSamplerInput

    nodes = torch.arange(3)
    with pytest.raises(SchemaError, match="needs input_nodes="):
        PyGSampler(store, FANOUTS).sample_from_nodes(NodeSamplerInput(None, nodes))
    with pytest.raises(SchemaError, match="needs edge_label_index="):
        PyGSampler(store, FANOUTS).sample_from_edges(EdgeSamplerInput(None, nodes, nodes))
