"""Neighbor sampling on a power-law graph beside PyG: edges a second alone, seeds a second with features gathered.

PyG's kernel is that of pyg-lib or torch-sparse, whichever is installed (neither comes with torch-geometric). It
relabels what it samples so that every node is there once; ours keeps one slot a draw, which is what its own layers work
on. Features are float32, and stored as bf16 beside it. Each is timed on the same seeds, in turns, and the best of three
rounds counts. What memory can do is measured beside every row: as many neighbors read at random places of the same
array, by a loop that does nothing else. Every skew is measured in batches of every size.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numba import njit
from torch_geometric import typing as pyg_typing
from torch_geometric.loader import NeighborLoader
from torch_geometric.sampler import NeighborSampler as PyGNeighborSampler
from torch_geometric.sampler import NodeSamplerInput

from gnnscale.arrays.threads import share_rows
from gnnscale.batches.blocks.block_loader import BlockLoader
from gnnscale.sampling import NeighborSampler
from gnnscale.store import GraphStore
from tests.benchmarks.measure import arguments, finish, measured, surroundings
from tests.benchmarks.power_law import FANOUT_NAME, TABLE, make_graph, pyg_graph

FANOUTS = [15, 10]
SMALL: dict[str, Any] = {"nodes": 200_000, "edges": 4_000_000, "batches": 20, "skews": (0.6,), "sizes": (1024,)}
FULL: dict[str, Any] = {
    "nodes": 2_000_000,
    "edges": 40_000_000,
    "batches": 40,
    "skews": (0.6, 0.9),
    "sizes": (1024, 128, 8192),
}
ROUNDS = 3


def main() -> None:
    """Run, print a row for each setting, and with ``--json`` one line more."""
    options = arguments(__doc__ or "")
    sizes = FULL if options.full else SMALL
    kernel = peer_kernel()
    print(peer_in_words(kernel), flush=True)
    results: list[dict[str, Any]] = []
    with measured() as whole:
        for skew in sizes["skews"]:
            folder = Path(tempfile.mkdtemp(prefix="sampler-"))
            try:
                store = make_graph(folder, sizes["nodes"], sizes["edges"], skew)
                for batch in sizes["sizes"]:
                    batches = max(5, sizes["batches"] * 1024 // batch)
                    for threads in (1, 2):
                        row = measure(store, batch, batches, threads, kernel)
                        results.append({"skew": skew, "batch": batch, "threads": threads, **row})
                        print(results[-1], flush=True)
            finally:
                shutil.rmtree(folder)
    main_rows = [r for r in results if r["skew"] == sizes["skews"][0] and r["batch"] == 1024]
    finish(
        options,
        {
            "benchmark": "sampler",
            **surroundings(("torch", "torch_geometric", "numba", "numpy")),
            "peak_gb": round(whole.peak_gb, 2),
            "nodes": sizes["nodes"],
            "edges": sizes["edges"],
            "fanouts": FANOUTS,
            "peer_kernel": kernel,
            "peer": peer_in_words(kernel),
            "ratio_kernel": min((r["ratio_kernel"] for r in main_rows if "ratio_kernel" in r), default=None),
            "ratio_loader": min((r["ratio_loader"] for r in main_rows if "ratio_loader" in r), default=None),
            "sizes": results,
        },
    )


def peer_kernel() -> str | None:
    """The package whose kernel PyG samples with here, its own choice; None where it has none."""
    return "pyg-lib" if pyg_typing.WITH_PYG_LIB else "torch-sparse" if pyg_typing.WITH_TORCH_SPARSE else None


def peer_in_words(kernel: str | None) -> str:
    """That package and its version, or that there is none."""
    if kernel is None:
        return "PyG has no kernel here: neither pyg-lib nor torch-sparse is installed, so that no peer is timed"
    return f"PyG samples with {kernel} {version(kernel)}"


def measure(store: GraphStore, batch: int, batches: int, threads: int, kernel: str | None) -> dict[str, Any]:
    """One batch size and number of threads: ours and PyG's, sampling alone and with features."""
    torch.set_num_threads(threads)
    seeds = np.random.default_rng(1).integers(0, store.node_count(TABLE), (batches, batch))
    sampler = NeighborSampler(store, [{FANOUT_NAME: f} for f in FANOUTS], "uniform", threads=threads)
    features = {TABLE: np.asarray(store.features(TABLE).numerical)}
    loader = BlockLoader(sampler, features, seeds.ravel(), batch_size=batch)
    small_loader = BlockLoader(sampler, features, seeds.ravel(), batch_size=batch)
    small_loader.store_features("bf16")
    edges = [0, 0]

    def sample() -> None:
        edges[0] = sum(int((hop.nodes >= 0).sum()) for part in seeds for hop in sampler.sample(part).hops.values())

    def sample_only() -> None:
        for _ in sampler.sample_each(seeds):
            pass

    def load() -> None:
        for _ in loader.epoch(0):
            pass

    def load_small() -> None:
        for _ in small_loader.epoch(0):
            pass

    sample()
    runs: dict[str, Callable[[], None]] = {"sample": sample_only, "load": load, "load_small": load_small}
    if kernel:
        data = pyg_graph(store)
        peer = PyGNeighborSampler(data, FANOUTS, subgraph_type="directional")
        parts = [NodeSamplerInput(None, torch.from_numpy(part)) for part in seeds]
        # Its worker processes take the place of our threads; with one thread it loads where it is used.
        peer_loader = NeighborLoader(
            data,
            FANOUTS,
            torch.from_numpy(seeds.ravel()),
            batch_size=batch,
            neighbor_sampler=peer,
            num_workers=threads if threads > 1 else 0,
        )

        def peer_sample() -> None:
            edges[1] = sum(peer.sample_from_nodes(part).row.numel() for part in parts)

        def peer_load() -> None:
            for _ in peer_loader:
                pass

        runs |= {"peer_sample": peer_sample, "peer_load": peer_load}
    seconds = best_of(runs)
    row: dict[str, Any] = {
        "edges_per_second": round(edges[0] / seconds["sample"]),
        "seeds_per_second_with_features": round(seeds.size / seconds["load"]),
        "seeds_per_second_with_bf16_features": round(seeds.size / seconds["load_small"]),
        "memory_edges_per_second": round(random_reads(store, edges[0], threads)),
    }
    row["share_of_memory"] = round(row["edges_per_second"] / row["memory_edges_per_second"], 2)
    if kernel:
        row |= {
            "peer_edges_per_second": round(edges[1] / seconds["peer_sample"]),
            "peer_seeds_per_second_with_features": round(seeds.size / seconds["peer_load"]),
            "ratio_kernel": round(edges[0] / seconds["sample"] / (edges[1] / seconds["peer_sample"]), 1),
            "ratio_loader": round(seconds["peer_load"] / seconds["load"], 1),
        }
    return row


def best_of(runs: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Shortest seconds of each run, which take turns."""
    found = dict.fromkeys(runs, float("inf"))
    for _ in range(ROUNDS):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            found[name] = min(found[name], time.perf_counter() - started)
    return found


def random_reads(store: GraphStore, count: int, threads: int) -> float:
    """Neighbors and times a second at random places of the graph's arrays."""
    adjacency = store.adjacency(store.edges_from(TABLE)[0])
    places = np.random.default_rng(2).integers(0, len(adjacency.neighbors), count)
    nodes, times = np.empty(count, np.int32), np.empty(count, np.int32)
    neighbors, stamps = np.asarray(adjacency.neighbors), np.asarray(adjacency.times)

    def read(rows: slice) -> None:
        _read(neighbors, stamps, places[rows], nodes[rows], times[rows])

    read(slice(0, 1))
    seconds = best_of({"read": lambda: share_rows(count, threads, read)})["read"]
    return count / seconds


@njit(nogil=True, cache=True)
def _read(neighbors, stamps, places, nodes, times):  # type: ignore[no-untyped-def]
    for i in range(len(places)):
        nodes[i] = neighbors[places[i]]
        times[i] = stamps[places[i]]


if __name__ == "__main__":
    main()
