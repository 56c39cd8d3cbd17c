"""Neighbors sampled on a GPU, alone and with the features of each sampled node gathered: edges and seeds a second.

The same power-law graph is sampled with its arrays on the device and in page-locked memory of the host, in batches of
two sizes, with features as float32, bfloat16 and int8 in the same place, and by the CPU's sampler beside. What is timed
ends when the device is done; the best of three rounds counts. An edge is a slot that holds a neighbor. Before anything
is timed, blocks of the GPU are compared with the CPU's, bit for bit. Every figure is one JSON object on a line.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gnnscale.sampling import NeighborSampler
from gnnscale.store import GraphStore
from tests.benchmarks.measure import surroundings
from tests.benchmarks.on_device import best_seconds, name_of, tell
from tests.benchmarks.power_law import FANOUT_NAME, TABLE, YEAR, graph_in

FANOUTS = [15, 10]
CHANNELS = 128
SIZES: dict[str, dict[str, Any]] = {
    "small": {"nodes": 200_000, "edges": 4_000_000, "batches": (1024,), "seeds": 20_480, "strategies": ("uniform",)},
    "medium": {"nodes": 2_000_000, "edges": 40_000_000, "batches": (4096, 16_384), "seeds": 163_840},
    "full": {"nodes": 5_000_000, "edges": 100_000_000, "batches": (1024, 4096, 16_384), "seeds": 409_600},
}
STRATEGIES = ("uniform", "last")
STORED = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.int8}


def main() -> None:
    """Run, and print a line for each setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, help_text in (("medium", "2 M nodes and 40 M edges"), ("full", "5 M nodes and 100 M edges; minutes")):
        parser.add_argument(f"--{name}", action="store_true", help=help_text)
    parser.add_argument("--json", action="store_true", help="every figure is one JSON object on a line in any case")
    parser.add_argument("--graph", type=Path, help="folder that keeps the graph; default: one that is removed")
    options = parser.parse_args()
    if not torch.cuda.is_available() or find_spec("triton") is None:
        sys.exit(
            "gpu_sampler needs a CUDA device, a torch built for CUDA and triton; here is none, nothing was measured"
        )
    sizes = SIZES["full" if options.full else "medium" if options.medium else "small"]
    packages = ("torch", "triton", "numba", "numpy")
    tell({"figure": "surroundings", **surroundings(packages), "fanouts": FANOUTS, "channels": CHANNELS, **sizes})
    with tempfile.TemporaryDirectory(prefix="gpu-sampler-") as folder:
        store = graph_in(options.graph or Path(folder), sizes["nodes"], sizes["edges"], channels=CHANNELS)
        device = torch.device("cuda")
        for strategy in sizes.get("strategies", STRATEGIES):
            for place in ("device", "pinned"):
                measure(store, strategy, place, sizes["batches"], sizes["seeds"], device)
    tell({"figure": "peak", "peak_device_gb": round(torch.cuda.max_memory_reserved() / 1e9, 2)})


def measure(
    store: GraphStore, strategy: str, place: str, batches: tuple[int, ...], seeds: int, device: torch.device
) -> list[dict[str, Any]]:
    """One strategy and place: sampling alone, and with features of each type; the CPU's sampler beside."""
    from gnnscale.sampling.backends.triton.device_features import FeatureTable
    from gnnscale.sampling.backends.triton.device_sampler import GPUNeighborSampler

    rng = np.random.default_rng(1)
    nodes = rng.integers(0, store.node_count(TABLE), seeds)
    anchors = rng.integers(YEAR // 2, YEAR, seeds).astype(np.int32)
    fanouts = [{FANOUT_NAME: f} for f in FANOUTS]
    sampler = GPUNeighborSampler(store, fanouts, strategy, device=device, placement=place)  # type: ignore[arg-type]
    host = NeighborSampler(store, fanouts, strategy)  # type: ignore[arg-type]
    values = np.asarray(store.features(TABLE).numerical)
    compare(sampler, host, nodes[:1024], anchors[:1024])
    found = []
    for batch in batches:
        parts = [(nodes[at : at + batch], anchors[at : at + batch]) for at in range(0, seeds, batch)]
        edges = sum(int(sampler.sample(*part).edges) for part in parts)
        about = {"card": name_of(device), "strategy": strategy, "place": place, "batch": batch}

        def row(seconds: float, edges: int = edges, about: dict[str, Any] = about, **more: Any) -> dict[str, Any]:
            rates = {"edges_per_second": round(edges / seconds), "seeds_per_second": round(seeds / seconds)}
            return tell({"figure": "gpu_sampler", **about, **more, **rates})

        seconds = best_seconds(lambda parts=parts: run(sampler, parts), device)  # type: ignore[misc]
        few = parts[: max(1, len(parts) // 8)]
        started = time.perf_counter()
        for part in few:
            host.sample(*part)
        rate = sum(len(part[0]) for part in few) / (time.perf_counter() - started)
        found.append(row(seconds, features=None, ratio_host=round(seeds / seconds / rate, 1)))
        for kind, stored in STORED.items():
            table = FeatureTable.of(values, device, place, dtype=stored)  # type: ignore[arg-type]
            seconds = best_seconds(lambda parts=parts, table=table: run(sampler, parts, table), device)  # type: ignore[misc]
            found.append(row(seconds, features=kind))
            del table
    return found


def run(sampler: Any, parts: list[tuple[NDArray[np.int64], NDArray[np.int32]]], table: Any = None) -> None:
    """Sample all batches, and gather what they reach where there is a table."""
    from gnnscale.sampling.backends.triton.device_features import gather

    for part in parts:
        block = sampler.sample(*part)
        if table is not None:
            for nodes in (block.seeds, *(hop.nodes for hop in block.hops.values())):
                gather(table, nodes, torch.bfloat16)


def compare(sampler: Any, host: NeighborSampler, seeds: NDArray[np.int64], anchors: NDArray[np.int32]) -> None:
    """A block of the device has the bits of the CPU's."""
    hops = sampler.sample(seeds, anchors).hops
    for path, hop in host.sample(seeds, anchors).hops.items():
        np.testing.assert_array_equal(hops[path].nodes.cpu().numpy(), hop.nodes)
        np.testing.assert_array_equal(hops[path].times.cpu().numpy(), hop.times)


if __name__ == "__main__":
    main()
