"""Memory of a graph that several processes of a host map: proportional set size, which counts shared pages once."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np

from gnnscale.sampling import NeighborSampler
from gnnscale.schema import GraphManifest
from gnnscale.store import GraphStore
from tests.benchmarks.measure import arguments, finish, surroundings, tree_bytes
from tests.benchmarks.power_law import FANOUT_NAME, TABLE, make_graph

SMALL = {"nodes": 200_000, "edges": 5_000_000}
FULL = {"nodes": 5_000_000, "edges": 100_000_000}


def main() -> None:
    """Run, print a row for each number of processes, and with ``--json`` one line more."""
    options = arguments(__doc__ or "")
    sizes = FULL if options.full else SMALL
    folder = Path(tempfile.mkdtemp(prefix="memory-"))
    try:
        manifest = make_graph(folder, sizes["nodes"], sizes["edges"], channels=16).manifest
        mapped = sum(path.stat().st_size for path in folder.rglob("*.npy")) / 1e9
        results = [{"processes": n, "gb": round(measure(manifest, folder, n), 2)} for n in (1, 2, 4)]
    finally:
        shutil.rmtree(folder)
    for row in results:
        print(row, flush=True)
    one, four = results[0]["gb"], results[-1]["gb"]
    finish(
        options,
        {
            "benchmark": "memory",
            **surroundings(("numpy", "numba")),
            **sizes,
            "mapped_gb": round(mapped, 2),
            "peak_gb": four,
            "gb_a_further_process": round((four - one) / 3, 2),
            "sizes": results,
        },
    )


def measure(manifest: GraphManifest, folder: Path, processes: int) -> float:
    """Gigabytes of so many processes, each of which has read all of the graph."""
    context = multiprocessing.get_context("spawn")
    read, measured = context.Barrier(processes + 1), context.Barrier(processes + 1)
    workers = [context.Process(target=work, args=(manifest, folder, read, measured)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    read.wait()
    total = sum(tree_bytes(worker.pid or os.getpid()) for worker in workers)
    measured.wait()
    for worker in workers:
        worker.join()
    return total / 1e9


def work(manifest: GraphManifest, folder: Path, read: Barrier, measured: Barrier) -> None:
    """Read every array, and sample."""
    store = GraphStore(manifest, folder)
    adjacency = store.adjacency(store.edges_from(TABLE)[0])
    features: Any = store.features(TABLE)
    for array in (adjacency.indptr, adjacency.neighbors, adjacency.times, features.numerical, features.times):
        np.asarray(array).sum()
    NeighborSampler(store, [{FANOUT_NAME: 15}, {FANOUT_NAME: 10}]).sample(np.arange(1024))
    read.wait()
    measured.wait()


if __name__ == "__main__":
    main()
