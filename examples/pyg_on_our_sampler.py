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
    """Build the graph, sample around customers as of a day, and train a stock network on what follows."""
    frames = shop_frames()
    graph = gs.Graph.from_tables(frames)
    with tempfile.TemporaryDirectory() as lake:
        store = graph.build(lake)
        features = {
            table.name: np.column_stack([store.features(table.name).numerical, np.ones(table.rows, np.float32)])
            for table in store.manifest.tables
        }
        data = describe_graph(store.manifest, features)
        torch.manual_seed(0)
        network = to_hetero(GraphSAGE((-1, -1), 32, num_layers=2, out_channels=1), data.metadata())
        customers = torch.arange(store.node_count("customers"))
        anchor = store.seconds("2024-03-01")
        later = frames["orders"][frames["orders"]["ordered_at"] > "2024-03-01"]
        wanted = torch.tensor(later["customer_id"].value_counts().reindex(range(200), fill_value=0).to_numpy()).float()
        loader = NodeLoader(
            data,
            PyGSampler(store, [8, 1]),
            input_nodes=("customers", customers),
            input_time=torch.full((len(customers),), anchor),
            batch_size=50,
        )
        optimizer = None
        for epoch in range(3):
            total = 0.0
            for batch in loader:
                outputs = network(batch.x_dict, batch.edge_index_dict)["customers"]
                count = batch["customers"].batch_size
                loss = torch.nn.functional.mse_loss(outputs[:count, 0], wanted[batch["customers"].n_id[:count]])
                if optimizer is None:
                    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += float(loss)
            print(f"epoch {epoch}: {total / len(loader):.2f}")


if __name__ == "__main__":
    main()
