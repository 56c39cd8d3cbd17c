"""Training a two-layer GraphSAGE on a power-law graph beside PyG: the same graph, batch, model and optimiser.

PyG's side is what its documentation recommends: NeighborLoader with worker processes where there is more than one core,
``SAGEConv``, and ``trim_to_layer`` where its kernel tells hops apart, which that of torch-sparse does not. The better
of two epochs of a fixed number of batches counts.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.loader import NeighborLoader
from torch_geometric.nn import SAGEConv as PyGSAGEConv
from torch_geometric.utils import trim_to_layer

from gnnscale.arrays.prefetch import compute_threads
from gnnscale.batches.blocks.block_loader import BlockLoader
from gnnscale.batches.blocks.feature_block import FeatureBlock
from gnnscale.nn.conv.block_network import BlockNetwork
from gnnscale.sampling import NeighborSampler
from tests.benchmarks.measure import arguments, finish, measured, surroundings
from tests.benchmarks.power_law import FANOUT_NAME, TABLE, make_graph, pyg_graph
from tests.benchmarks.sampler import peer_in_words, peer_kernel

FANOUTS, BATCH, HIDDEN, CHANNELS, CLASSES = [15, 10], 1024, 128, 64, 16
SMALL: dict[str, Any] = {"nodes": 200_000, "edges": 4_000_000, "batches": 15}
FULL: dict[str, Any] = {"nodes": 2_000_000, "edges": 40_000_000, "batches": 30}
ROUNDS = 2


class PyGSAGE(nn.Module):
    """Two layers of PyG's SAGE, each computed for no more nodes than the next one needs."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList([PyGSAGEConv(CHANNELS, HIDDEN), PyGSAGEConv(HIDDEN, CLASSES)])

    def forward(self, batch: Any) -> Tensor:
        """Seeds to ``[batch, classes]``."""
        x, edges = batch.x, batch.edge_index
        for layer, convolve in enumerate(self.convolutions):
            if "num_sampled_nodes" in batch:
                x, edges, _ = trim_to_layer(layer, batch.num_sampled_nodes, batch.num_sampled_edges, x, edges)
            x = convolve(x, edges)
            x = functional.relu(x) if layer == 0 else x
        return x[: batch.batch_size]


def main() -> None:
    """Run, and with ``--json`` print one line more."""
    options = arguments(__doc__ or "")
    sizes, kernel = FULL if options.full else SMALL, peer_kernel()
    print(peer_in_words(kernel), flush=True)
    folder = Path(tempfile.mkdtemp(prefix="train-"))
    try:
        results = [measure(folder / str(threads), sizes, threads) for threads in (1, 2)]
    finally:
        shutil.rmtree(folder)
    finish(
        options,
        {
            "benchmark": "train",
            **surroundings(("torch", "torch_geometric", "numba", "numpy")),
            "peer_kernel": kernel,
            "peer": peer_in_words(kernel),
            "nodes": sizes["nodes"],
            "edges": sizes["edges"],
            "fanouts": FANOUTS,
            "batch": BATCH,
            "hidden": HIDDEN,
            **results[-1],
            "sizes": results,
        },
    )


def measure(folder: Path, sizes: dict[str, Any], threads: int) -> dict[str, Any]:
    """Seeds a second of both, on so many cores."""
    store = make_graph(folder, sizes["nodes"], sizes["edges"], channels=CHANNELS)
    rng = np.random.default_rng(1)
    seeds = rng.integers(0, sizes["nodes"], BATCH * sizes["batches"])
    labels = torch.from_numpy(rng.integers(0, CLASSES, sizes["nodes"]))
    sampler = NeighborSampler(store, [{FANOUT_NAME: f} for f in FANOUTS], "uniform")
    # With one core, sampling and training take turns.
    prefetch = 0 if threads == 1 else 2
    features = {TABLE: np.asarray(store.features(TABLE).numerical)}
    loader = BlockLoader(sampler, features, seeds, batch_size=BATCH, prefetch=prefetch)
    model = BlockNetwork(tuple(sampler.paths), TABLE, {TABLE: CHANNELS}, HIDDEN, CLASSES)

    def ours(block: FeatureBlock) -> Tensor:
        return functional.cross_entropy(model(*block.inputs()), labels[block.nodes[0].long()])

    def run_ours() -> float:
        torch.set_num_threads(compute_threads(threads, prefetch, sampler.threads))
        return run_epoch(loader.epoch(0), model, ours)

    runs = {"ours": run_ours}
    if peer_kernel():
        data = pyg_graph(store)
        peer_loader = NeighborLoader(
            data, FANOUTS, torch.from_numpy(seeds), batch_size=BATCH, num_workers=threads if threads > 1 else 0
        )
        peer = PyGSAGE()

        def theirs(batch: Any) -> Tensor:
            return functional.cross_entropy(peer(batch), labels[batch.n_id[: batch.batch_size]])

        def run_peer() -> float:
            torch.set_num_threads(threads)
            return run_epoch(peer_loader, peer, theirs)

        runs["pyg"] = run_peer
    sampled = sum(block.edges for block in loader.epoch(0))
    seconds = dict.fromkeys(runs, float("inf"))
    with measured() as whole:
        for _ in range(ROUNDS):
            for name, run in runs.items():
                seconds[name] = min(seconds[name], run())
    row: dict[str, Any] = {
        "threads": threads,
        "seeds_per_second": round(len(seeds) / seconds["ours"]),
        "edges_per_second": round(sampled / seconds["ours"]),
        "peak_gb": round(whole.peak_gb, 2),
    }
    if "pyg" in seconds:
        row |= {
            "pyg_seeds_per_second": round(len(seeds) / seconds["pyg"]),
            "ratio_pyg": round(seconds["pyg"] / seconds["ours"], 2),
        }
    print(row, flush=True)
    return row


def run_epoch(batches: Any, model: nn.Module, loss_of: Callable[[Any], Tensor]) -> float:
    """Train on all batches; seconds."""
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3)
    started = time.perf_counter()
    for batch in batches:
        loss = loss_of(batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
