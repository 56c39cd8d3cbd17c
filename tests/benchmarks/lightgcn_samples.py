"""LightGCN on samples beside the whole graph, at three sizes: what a step costs, and what of it a device has to hold.

Both learn from the same graph (structure to learn, degrees by a power law) by the same loss. Ours makes a block around
1,024 pairs and 1,024 negatives, looks the vectors of its nodes up in sharded tables, and changes these alone; the peer
is the recommender's step, which smooths all vectors for a large batch. What a device would hold is counted from the
tensors; the peak is the process's. ``--full`` goes up to twenty million events.
"""

from __future__ import annotations

import gc
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import scipy.sparse
import torch

from gnnscale.batches import BipartiteBlock, BipartiteBuilder, BipartiteSides
from gnnscale.collaborative import BipartiteGraph
from gnnscale.collaborative.pair_losses import LossOptions, PairBatch, sampled_softmax
from gnnscale.nn import LightGCNTowers, NodeVectors
from gnnscale.nn.embedding.embedding_init import EmbeddingInit
from gnnscale.nn.embedding.sharded_embedding import ShardedEmbedding
from gnnscale.nn.losses.sampled_softmax_loss import SampledSoftmaxLoss
from gnnscale.schema import Link
from gnnscale.store import GraphStore
from tests.array_graph import write_graph
from tests.benchmarks.interest_graph import interest_graph
from tests.benchmarks.measure import arguments, finish, measured, surroundings

SIZES = {"small": (2_000, 1_000, 40_000), "middle": (20_000, 4_000, 400_000)}
FULL = {
    "200 thousand": (16_400, 2_000, 200_000),
    "2 million": (164_000, 10_000, 2_000_000),
    "20 million": (1_640_000, 54_600, 20_000_000),
}
"""Users, items and events."""
DIMS, LAYERS, NEIGHBORS, BATCH, NEGATIVES, STEPS = 64, 2, 16, 1024, 1024, 20
WHOLE_PAIRS, WHOLE_STEPS = 1 << 18, 2


def graph_of(folder: Path, users: int, items: int, events: int) -> tuple[GraphStore, scipy.sparse.csr_matrix]:
    """The graph on disk as the store has it, and as a matrix."""
    seen = interest_graph(users, items, events)
    rows = np.repeat(np.arange(users), np.diff(seen.indptr))
    times = np.zeros(seen.nnz, np.int32)
    sizes = {"users": users, "items": items, "events": seen.nnz}
    links = {("events", "user", "users"): (rows, times), ("events", "item", "items"): (seen.indices, times)}
    return write_graph(folder, sizes, links, {}, {"events": times}, {}, {}), seen


def tensor_bytes(value: Any) -> int:
    """Of all tensors of a batch."""
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, tuple):
        return sum(map(tensor_bytes, value))
    return sum(map(tensor_bytes, vars(value).values())) if hasattr(value, "__dict__") else 0


def sampled_steps(store: GraphStore, seen: scipy.sparse.csr_matrix) -> dict[str, Any]:
    """Steps on samples: seconds to make a block, and to learn from it."""
    query: Any = SimpleNamespace(
        entity_link=Link("events", "user", "users"),
        target_link=Link("events", "item", "items"),
        target=SimpleNamespace(name="items"),
    )
    sides = BipartiteSides(store, query, NEIGHBORS)
    builder = BipartiteBuilder(sides, LAYERS)

    def lookup(name: str, rows: int, channels: int, deviation: float) -> torch.nn.Module:
        return ShardedEmbedding(rows, channels, EmbeddingInit(0, name, deviation))

    towers = LightGCNTowers(*(NodeVectors(n, rows, DIMS, lookup) for n, rows in zip("ui", seen.shape, strict=True)))
    loss, rng = SampledSoftmaxLoss(), np.random.default_rng(0)
    present, share = torch.ones(BATCH, NEGATIVES, dtype=torch.bool), torch.full((NEGATIVES,), -np.log(seen.shape[1]))
    made = learned = 0.0
    blocks: list[BipartiteBlock] = []
    for step in range(STEPS + 2):
        pairs = rng.integers(0, seen.nnz, BATCH)
        users = np.searchsorted(seen.indptr, pairs, side="right") - 1
        targets = np.concatenate([seen.indices[pairs].astype(np.int64), rng.integers(0, seen.shape[1], NEGATIVES)])
        began = time.perf_counter()
        block = builder.build(users, targets, 0, step)
        halfway = time.perf_counter()
        (loss.total(towers(block), block, present, share.float()) / BATCH).backward()
        for table in (towers.entities.own, towers.targets.own):
            table.update(0.01)
        # The first two compile.
        if step >= 2:
            made, learned = made + halfway - began, learned + time.perf_counter() - halfway
            blocks.append(block)
    nodes = [len(block.entity_nodes) + len(block.target_nodes) for block in blocks]
    # Rows of the tables with Adagrad's number, which several workers share; rows of the block, their gradients, and the
    # state of each product with its gradient.
    tables = sum(seen.shape) * (DIMS + 1) * 4
    states = [sum(map(len, block.nodes)) for block in blocks]
    held = [tensor_bytes(block) + 4 * DIMS * 2 * (n + s) for block, n, s in zip(blocks, nodes, states, strict=True)]
    return {
        "block_ms": round(1e3 * made / STEPS, 1),
        "learn_ms": round(1e3 * learned / STEPS, 1),
        "pairs_per_second": round(STEPS * BATCH / (made + learned)),
        "nodes": round(np.mean(nodes)),
        "entries": round(np.mean([block.edges for block in blocks])),
        "table_mb": round(tables / 1e6, 1),
        "block_mb": round(max(held) / 1e6, 1),
    }


def whole_steps(seen: scipy.sparse.csr_matrix) -> dict[str, Any]:
    """Steps of the whole graph: forward, backward and Adam."""
    graph = BipartiteGraph(seen)
    vectors = torch.nn.Parameter(0.1 * torch.randn(sum(seen.shape), DIMS))
    optimizer, rng = torch.optim.Adam([vectors], 0.01), np.random.default_rng(0)
    given, spent, pairs = LossOptions(1.0, 0.4, 150.0), 0.0, min(WHOLE_PAIRS, max(BATCH, seen.nnz // 5))
    for step in range(WHOLE_STEPS + 1):
        chosen = np.sort(rng.integers(0, seen.nnz, pairs))
        users, place = np.unique(np.searchsorted(seen.indptr, chosen, side="right") - 1, return_inverse=True)
        parts = users, place, seen.indices[chosen].astype(np.int64), rng.integers(0, seen.shape[1], NEGATIVES)
        batch = PairBatch(*map(torch.from_numpy, parts))
        began = time.perf_counter()
        own, items = graph.smooth(vectors, LAYERS).split(graph.shape)
        (sampled_softmax(own, items, batch, given) / pairs).backward()
        optimizer.step()
        optimizer.zero_grad()
        if step:
            spent += time.perf_counter() - began
    # The graph; vectors, their gradients, two moments, the smoothed ones and theirs.
    matrix = sum(map(tensor_bytes, (graph.matrix.crow_indices(), graph.matrix.col_indices(), graph.matrix.values())))
    return {
        "step_ms": round(1e3 * spent / WHOLE_STEPS, 1),
        "pairs_per_second": round(WHOLE_STEPS * pairs / spent),
        "held_mb": round((matrix + 6 * tensor_bytes(vectors.detach())) / 1e6, 1),
    }


def main() -> None:
    """Run, print a table, and with ``--json`` one line more."""
    options = arguments(__doc__ or "")
    rows = {}
    for name, size in (FULL if options.full else SIZES).items():
        with tempfile.TemporaryDirectory() as folder:
            store, seen = graph_of(Path(folder), *size)
            with measured() as sampled:
                ours = sampled_steps(store, seen)
            gc.collect()
            with measured() as whole:
                peer = whole_steps(seen)
        rows[name] = {
            "users": size[0],
            "items": size[1],
            "events": int(seen.nnz),
            "samples": ours | {"peak_gb": round(sampled.peak_gb, 2)},
            "whole": peer | {"peak_gb": round(whole.peak_gb, 2)},
            "ratio_memory": round(peer["held_mb"] / (ours["table_mb"] + ours["block_mb"]), 2),
        }
        print(f"{name}: {rows[name]}", flush=True)
    finish(options, {**surroundings(("numpy", "scipy", "numba", "torch")), "sizes": rows})


if __name__ == "__main__":
    main()
