"""Vectors of every node of a power-law graph by a two-layer GraphSAGE: from a block each, and layer by layer.

The peer is a whole layer as one product with torch's sparse matrix, which is how PyG infers where a graph fits: it
reads all neighbors, and so does one form of ours. All run on one core; states of ours are files, the peer's in memory.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gnnscale.batches.blocks.block_loader import BlockLoader
from gnnscale.inference.layerwise import ALL, Neighborhoods, embed_layerwise
from gnnscale.nn.conv.block_network import BlockNetwork
from gnnscale.sampling import NeighborSampler
from gnnscale.store import GraphStore
from tests.benchmarks.measure import arguments, finish, measured, surroundings
from tests.benchmarks.power_law import FANOUT_NAME, TABLE, make_graph

FANOUTS, BATCH, HIDDEN, CHANNELS, OUT = [15, 10], 1024, 128, 64, 64
SMALL, FULL = (100_000,), (200_000, 1_000_000, 2_000_000)
DEGREE = 20

Vectors = NDArray[np.floating[Any]]


def main() -> None:
    """Run, and with ``--json`` print one line more."""
    options = arguments(__doc__ or "")
    torch.set_num_threads(1)
    results = []
    for nodes in FULL if options.full else SMALL:
        folder = Path(tempfile.mkdtemp(prefix="embedding-"))
        try:
            results.append(measure(folder, nodes))
        finally:
            shutil.rmtree(folder)
    finish(
        options,
        {
            "benchmark": "embedding",
            **surroundings(("torch", "numba", "numpy")),
            "fanouts": FANOUTS,
            "channels": [CHANNELS, HIDDEN, OUT],
            **results[-1],
            "sizes": results,
        },
    )


def measure(folder: Path, nodes: int) -> dict[str, Any]:
    """Seconds, nodes a second and memory of each way."""
    store = make_graph(folder, nodes, DEGREE * nodes, channels=CHANNELS)
    sampler = NeighborSampler(store, [{FANOUT_NAME: f} for f in FANOUTS], "uniform")
    torch.manual_seed(0)
    network = BlockNetwork(tuple(sampler.paths), TABLE, {TABLE: CHANNELS}, HIDDEN, OUT).eval()
    features = {TABLE: np.asarray(store.features(TABLE).numerical)}
    loader = BlockLoader(sampler, features, np.arange(nodes), batch_size=BATCH, prefetch=0)
    some = Neighborhoods({FANOUT_NAME: FANOUTS[0]}, "uniform")
    ways: dict[str, Callable[[], Vectors]] = {
        "sampled": lambda: by_blocks(network, loader),
        "layerwise": lambda: embed_layerwise(network, store, features, folder / "some", neighborhoods=some),
        "layerwise_all": lambda: embed_layerwise(network, store, features, folder / "all", neighborhoods=ALL),
        "torch_sparse": lambda: by_products(network, store, features[TABLE]),
    }
    for name in ("sampled", "layerwise"):
        ways[name]()  # compiled
    row: dict[str, Any] = {"nodes": nodes, "edges": DEGREE * nodes}
    vectors = {}
    for name, way in ways.items():
        with measured() as whole:
            started = time.perf_counter()
            vectors[name] = way()
            seconds = time.perf_counter() - started
        row[name] = {
            "seconds": round(seconds, 2),
            "nodes_per_second": round(nodes / seconds),
            "peak_gb": round(whole.peak_gb, 2),
        }
    row["largest_difference"] = float(np.abs(vectors["layerwise_all"] - vectors["torch_sparse"]).max())
    row["ratio_sampled"] = round(row["sampled"]["seconds"] / row["layerwise"]["seconds"], 2)
    row["ratio_torch_sparse"] = round(row["torch_sparse"]["seconds"] / row["layerwise_all"]["seconds"], 2)
    row["peak_gb"] = max(row[name]["peak_gb"] for name in ways)
    print(row, flush=True)
    return row


@torch.no_grad()
def by_blocks(network: BlockNetwork, loader: BlockLoader) -> Vectors:
    """Every node from a block of its own."""
    count = len(loader.seeds)
    found = np.empty((count, OUT), np.float32)
    for start in range(0, count, BATCH):
        rows = np.arange(start, min(count, start + BATCH))
        found[rows] = network(*loader.build(rows).inputs()).numpy()
    return found


@torch.no_grad()
def by_products(network: BlockNetwork, store: GraphStore, features: Vectors) -> Vectors:
    """Every layer of all nodes at once: the mean of the neighbors is a sparse matrix, row by row."""
    adjacency = store.adjacency(store.edges_from(TABLE)[0])
    share = np.repeat(1 / np.maximum(adjacency.degrees, 1), adjacency.degrees).astype(np.float32)
    parts = (torch.from_numpy(np.array(a)) for a in (adjacency.indptr, adjacency.neighbors.astype(np.int64), share))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch calls its CSR a beta
        mean = torch.sparse_csr_tensor(*parts, size=(len(features), len(features)))
    state = torch.from_numpy(np.array(features))
    for layer in range(network.depth):
        (own,), (message,) = network.own[layer].values(), network.messages[layer].values()
        state = own(state) + message.linear(mean @ state)
        if layer < network.depth - 1:
            state = torch.relu(state)
    found: Vectors = state.numpy()
    return found


if __name__ == "__main__":
    main()
