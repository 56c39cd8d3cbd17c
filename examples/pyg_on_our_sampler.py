"""A network of PyG on the sampler of gnnscale: temporal samples of a lake's graph in PyG's own loader.

python examples/pyg_on_our_sampler.py
"""

from __future__ import annotations

import tempfile

import numpy as np
import torch
from torch_geometric.loader import NodeLoader
from torch_geometric.nn import GraphSAGE, to_hetero

import gnnscale as gs
from examples.shop import shop_frames
from gnnscale.sampling import PyGSampler, describe_graph


def main() -> None:
    """Build graph and labels, sample around each customer up to each anchor, and train a stock network."""
    graph = gs.Graph.from_tables(shop_frames())
    query = graph.query("PREDICT COUNT(orders.*, 0, 7, days) FOR EACH customers.customer_id", name="orders_next_week")
    with tempfile.TemporaryDirectory() as lake:
        labels = query.label(lake, mode="fast").to_pandas().query("split == 'train'")
        store = gs.GraphStore.open(gs.Lake(lake))
        features = {
            table.name: np.column_stack([store.features(table.name).numerical, np.ones(table.rows, np.float32)])
            for table in store.manifest.tables
        }
        data = describe_graph(store.manifest, features)
        wanted = torch.tensor(labels["target"].to_numpy(), dtype=torch.float32)
        loader = NodeLoader(
            data,
            PyGSampler(store, [20, 1]),
            input_nodes=("customers", torch.tensor(labels["entity"].to_numpy())),
            input_time=torch.tensor(labels["anchor_time"].to_numpy() - store.manifest.origin, dtype=torch.int32),
            batch_size=64,
            shuffle=True,
        )
        torch.manual_seed(0)
        network = to_hetero(GraphSAGE(-1, 32, num_layers=2, out_channels=1), data.metadata())
        first = next(iter(loader))
        network(first.x_dict, first.edge_index_dict)
        optimizer = torch.optim.Adam(network.parameters(), 1e-2)
        for epoch in range(3):
            total = 0.0
            for batch in loader:
                seeds = batch["customers"]
                outputs = network(batch.x_dict, batch.edge_index_dict)["customers"][: seeds.batch_size, 0]
                loss = torch.nn.functional.mse_loss(outputs, wanted[seeds.input_id])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item()
            print(f"epoch {epoch}: mean squared error {total / len(loader):.2f}")


if __name__ == "__main__":
    main()
