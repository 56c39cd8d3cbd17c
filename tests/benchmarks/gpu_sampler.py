"""Neighbor sampling on a GPU, with 128 features of each sampled node gathered: edges a second.

The same power-law graph is sampled with its arrays on the device and in page-locked memory of the host, each with
features as float32, float16 and int8 beside them, and by the CPU's sampler in the same run. What is timed ends when the
device is done; the best of three rounds counts. An edge is a slot that holds a neighbor. Before anything is timed, a
block of the GPU is compared with the CPU's, bit for bit.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gnnscale.sampling import NeighborSampler
from gnnscale.store import GraphStore
from tests.benchmarks.measure import arguments, finish, measured, surroundings
from tests.benchmarks.power_law import FANOUT_NAME, TABLE, YEAR, make_graph

FANOUTS = [15, 10]
CHANNELS = 128
SMALL: dict[str, Any] = {"nodes": 200_000, "edges": 4_000_000, "batch": 1024, "batches": 20}
FULL: dict[str, Any] = {"nodes": 5_000_000, "edges": 100_000_000, "batch": 4096, "batches": 100}
STRATEGIES = ("uniform", "last")
ROUNDS = 3


def main() -> None:
    """Run, print a row for each setting, and with ``--json`` one line more."""
    options = arguments(__doc__ or "")
    if not torch.cuda.is_available() or find_spec("triton") is None:
        sys.exit(
            "gpu_sampler needs a CUDA device, a torch built for CUDA and triton; here is none, nothing was measured"
        )
    sizes = FULL if options.full else SMALL
    results: list[dict[str, Any]] = []
    with measured() as whole:
        folder = Path(tempfile.mkdtemp(prefix="gpu-sampler-"))
        try:
            store = make_graph(folder, sizes["nodes"], sizes["edges"], channels=CHANNELS)
            for strategy in STRATEGIES:
                for place in ("device", "pinned"):
                    for row in measure(store, strategy, place, sizes["batch"], sizes["batches"]):
                        results.append(row)
                        print(row, flush=True)
        finally:
            shutil.rmtree(folder)
    finish(
        options,
        {
            "benchmark": "gpu_sampler",
            **surroundings(("torch", "triton", "numba", "numpy")),
            "gpu": torch.cuda.get_device_name(),
            "peak_gb": round(whole.peak_gb, 2),
            "peak_device_gb": round(torch.cuda.max_memory_reserved() / 1e9, 2),
            **sizes,
            "fanouts": FANOUTS,
            "channels": CHANNELS,
            "sizes": results,
        },
    )


def measure(store: GraphStore, strategy: str, place: str, batch: int, batches: int) -> list[dict[str, Any]]:
    """One strategy and place: sampling alone, and with features of each type; the CPU's sampler beside."""
    from gnnscale.sampling.backends.triton.device_features import FeatureTable, gather, quantise_columns
    from gnnscale.sampling.backends.triton.device_sampler import GPUNeighborSampler

    rng = np.random.default_rng(1)
    seeds = rng.integers(0, store.node_count(TABLE), (batches, batch))
    anchors = rng.integers(YEAR // 2, YEAR, (batches, batch)).astype(np.int32)
    fanouts = [{FANOUT_NAME: f} for f in FANOUTS]
    sampler = GPUNeighborSampler(store, fanouts, strategy, placement=place)  # type: ignore[arg-type]
    host = NeighborSampler(store, fanouts, strategy)  # type: ignore[arg-type]
    edges = 0
    for part, times in zip(seeds, anchors, strict=True):
        hops = sampler.sample(part, times).hops
        edges += sum(int((hop.nodes >= 0).sum()) for hop in hops.values())
    for path, hop in host.sample(seeds[-1], anchors[-1]).hops.items():
        np.testing.assert_array_equal(hops[path].nodes.cpu().numpy(), hop.nodes)
        np.testing.assert_array_equal(hops[path].times.cpu().numpy(), hop.times)
    values = np.asarray(store.features(TABLE).numerical)

    def sample() -> None:
        for part, times in zip(seeds, anchors, strict=True):
            sampler.sample(part, times)

    def sample_on_host() -> None:
        for part, times in zip(seeds, anchors, strict=True):
            host.sample(part, times)

    def sample_and_gather(table: FeatureTable) -> None:
        for part, times in zip(seeds, anchors, strict=True):
            block = sampler.sample(part, times)
            for nodes in (block.seeds, *(hop.nodes for hop in block.hops.values())):
                gather(table, nodes)

    seconds, host_seconds = best_of(sample), best_of(sample_on_host)
    about = {"strategy": strategy, "place": place}
    rows = [
        {
            **about,
            "features": None,
            "edges_per_second": round(edges / seconds),
            "host_edges_per_second": round(edges / host_seconds),
            "ratio_host": round(host_seconds / seconds, 1),
        }
    ]
    for kind in ("float32", "float16", "int8"):
        stored, scale = quantise_columns(values) if kind == "int8" else (values.astype(kind), None)
        table = FeatureTable.of(stored, sampler.device, place, scale)  # type: ignore[arg-type]
        seconds = best_of(lambda table=table: sample_and_gather(table))  # type: ignore[misc]
        rows.append({**about, "features": kind, "edges_per_second": round(edges / seconds)})
        del table
    return rows


def best_of(run: Callable[[], None]) -> float:
    """Shortest seconds of some rounds, each to the end of what the device has to do; one goes before them."""
    found = float("inf")
    for turn in range(ROUNDS + 1):
        torch.cuda.synchronize()
        started = time.perf_counter()
        run()
        torch.cuda.synchronize()
        if turn:
            found = min(found, time.perf_counter() - started)
    return found


if __name__ == "__main__":
    main()
