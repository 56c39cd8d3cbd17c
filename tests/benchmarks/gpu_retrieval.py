"""Nearest targets of the items of an inventory on one GPU, exact and by clusters: seconds, TFLOP/s and recall.

Building counts, and bringing queries to the device and results back. Vectors are of length one: around centers that lie
around others, with noise of the length of a center (not trained ones; ``--vectors`` takes those that the benchmark
``retrieval --keep`` made), and spread evenly, where no index could help. Recall is of a thousand queries against double
precision; a target that scores as well as the last of the exact ones, up to rounding, is as good. On a GPU, plain torch
(products in pieces, written and read again) answers some queries too, and its seconds are multiplied. Without one the
small form runs plain torch on the CPU, which says nothing of a GPU. Vectors are made where they are searched. With
``--queries`` that many items are asked for, and the seconds of all are what these take, times their number, with the
build. The clustered vectors are searched by clusters too, as widely as a recall of .95 on a thousand queries takes: the
build counts, the search for that width is told beside it. Each kind of vectors is one JSON object on a line as soon as
it is done.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from gnnscale.retrieval.index.gpu.device_index import DeviceIndex
from gnnscale.retrieval.index.gpu.grouped_device_index import GroupedDeviceIndex
from gnnscale.retrieval.index.gpu.plan import SearchPlan
from gnnscale.retrieval.index.index_size import nlist_for
from gnnscale.retrieval.index.setting import IndexSetting
from tests.benchmarks.measure import finish, measured, surroundings
from tests.benchmarks.on_device import name_of, tell

K, DIMS, SAMPLED = 25, 128, 1000
SMALL, FULL = 10_000, 10_000_000
SMALL_ON_GPU = 1_000_000
PEER_QUERIES = 8192
PART = 1_000_000
"""Queries that are answered together, and vectors that are made together."""
PER_CENTER, CENTERS_PER_CENTER = 150, 40
WANTED = 0.95
SLACK = 1e-5
"""Share of a score by which single and double precision may differ."""


def main() -> None:
    """Run, print a row for each kind of vectors, and with ``--json`` one line more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="ten million items; needs a GPU")
    parser.add_argument("--json", action="store_true", help="end with one JSON object on a line")
    parser.add_argument("--queries", type=int, help="items that are asked for; default: all")
    parser.add_argument("--vectors", type=Path, help="file of NumPy's with unit vectors [items, channels]")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if options.full and device.type != "cuda":
        parser.error("--full needs a CUDA device and a torch built for CUDA; here is none, nothing was measured")
    items = FULL if options.full else SMALL_ON_GPU if device.type == "cuda" else SMALL
    results = {}
    with measured() as whole:
        for name in ("clustered", "sphere"):
            if name == "clustered" and options.vectors:
                vectors = np.load(options.vectors, mmap_mode="r")
            else:
                vectors = (clustered_vectors if name == "clustered" else sphere_vectors)(items, device)
            about = {"figure": "gpu_retrieval", "card": name_of(device), "vectors": name}
            results[name] = measure(vectors, device, options.queries)
            if name == "clustered":
                results[name] |= measure_clusters(vectors, device, options.queries)
                ratio = results[name]["seconds"] / results[name]["grouped_seconds"]
                results[name]["ratio_grouped"] = round(ratio, 2)
            tell({**about, **results[name]})
    on_gpu = device.type == "cuda"
    finish(
        options,
        {
            "benchmark": "gpu_retrieval",
            **surroundings(("torch", "numpy", *(("triton",) if find_spec("triton") else ()))),
            "device": name_of(device),
            "vectors": str(options.vectors.name) if options.vectors else "generated",
            "k": K,
            "peak_gb": round(whole.peak_gb, 2),
            "peak_device_gb": round(torch.cuda.max_memory_reserved() / 1e9, 2) if on_gpu else None,
            **results["clustered"],
            "sphere": results["sphere"],
        },
    )


def measure(vectors: NDArray[np.float32], device: torch.device, asked: int | None = None) -> dict[str, Any]:
    """Neighbors of every item, or of so many; on a GPU, those of some by plain torch too."""
    # The kernels are compiled before the clock starts.
    DeviceIndex.build(vectors[:1000], IndexSetting(), device).search(vectors[:1000], K)
    items, channels = vectors.shape
    started = time.perf_counter()
    index = DeviceIndex.build(vectors, IndexSetting(), device)
    built = time.perf_counter() - started
    queries = some_of(vectors, asked)
    for start in range(0, len(queries), PART):
        index.search(queries[start : start + PART], K)
    searched = time.perf_counter() - started - built
    seconds = built + searched * items / len(queries)
    rows = np.sort(np.random.default_rng(1).permutation(items)[:SAMPLED])
    row = {
        "items": items,
        "queries": len(queries),
        "dims": channels,
        "seconds": round(seconds, 2),
        "build_seconds": round(built, 2),
        "queries_per_second": round(len(queries) / searched),
        "tflops": round(2 * items * len(queries) * channels / searched / 1e12, 3),
        "recall": round(recall(index, vectors, np.ascontiguousarray(vectors[rows]), device), 5),
        "fp32_on": str(index.targets.vectors.device),
    }
    if device.type == "cuda":
        row |= {"plain_seconds": round(built + plain_seconds(index, vectors), 2), "plain_queries": PEER_QUERIES}
        row["ratio_plain"] = round(row["plain_seconds"] / seconds, 2)
    return row


def measure_clusters(vectors: NDArray[np.float32], device: torch.device, asked: int | None = None) -> dict[str, Any]:
    """The same by clusters, at the width that a recall of .95 takes."""
    setting = IndexSetting("grouped").with_options(nlist=nlist_for(len(vectors)), nprobe=1)
    GroupedDeviceIndex.build(vectors[:1000], setting, device).search(vectors[:1000], K)
    started = time.perf_counter()
    index = GroupedDeviceIndex.build(vectors, setting, device)
    built = time.perf_counter() - started
    rng = np.random.default_rng(2)
    sample, other = (
        np.ascontiguousarray(vectors[np.sort(part)])
        for part in rng.permutation(len(vectors))[: 2 * SAMPLED].reshape(2, -1)
    )
    best = best_scores(vectors, sample, device)
    for width in index.setting.widths():
        index = index.with_width(width)
        if recall(index, vectors, sample, device, best) >= WANTED:
            break
    tuned = time.perf_counter() - started - built
    queries, began = some_of(vectors, asked), time.perf_counter()
    for start in range(0, len(queries), PART):
        index.search(queries[start : start + PART], K)
    searched = (time.perf_counter() - began) * len(vectors) / len(queries)
    return {
        "grouped_seconds": round(built + searched, 2),
        "grouped_build_seconds": round(built, 2),
        "grouped_tuning_seconds": round(tuned, 2),
        "grouped_recall": round(recall(index, vectors, other, device), 5),
        "nlist": len(index.clusters),
        "nprobe": index.setting.search_width,
    }


def some_of(vectors: NDArray[np.float32], asked: int | None) -> NDArray[np.float32]:
    """Items that are asked for, from all over; all of them where no number is given."""
    return vectors[:: max(1, len(vectors) // asked)][:asked] if asked else vectors


def plain_seconds(index: DeviceIndex, vectors: NDArray[np.float32]) -> float:
    """What plain torch takes to answer every item, from some of them."""
    some = np.ascontiguousarray(vectors[:: max(1, len(vectors) // PEER_QUERIES)][:PEER_QUERIES])
    peer = DeviceIndex(index.targets, index.setting, SearchPlan(fused=False))
    peer.search(some[:100], K)
    began = time.perf_counter()
    peer.search(some, K)
    return (time.perf_counter() - began) * len(vectors) / len(some)


def recall(
    index: DeviceIndex | GroupedDeviceIndex,
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    device: torch.device,
    best: torch.Tensor | None = None,
) -> float:
    """Share of the exact nearest that the index finds, by scores in double precision.

    Args:
        index: of the vectors.
        vectors: ``[items, channels]``.
        queries: ``[queries, channels]``.
        device: that computes.
        best: of :func:`best_scores`, where they are known.
    """
    best = best_scores(vectors, queries, device) if best is None else best
    targets = index.search(queries, K).targets
    found = torch.from_numpy(vectors[np.maximum(targets, 0)]).to(device).double()
    scores = torch.einsum("qkc,qc->qk", found, torch.from_numpy(queries).to(device).double())
    scores = scores.masked_fill(torch.from_numpy(targets < 0).to(device), -torch.inf)
    last = best[:, -1:]
    return float((scores >= last - SLACK * last.abs().clamp(min=1)).double().mean())


def best_scores(vectors: NDArray[np.float32], queries: NDArray[np.float32], device: torch.device) -> torch.Tensor:
    """Scores of the exact nearest in double precision, ``[queries, K]``, descending."""
    asked = torch.from_numpy(queries).to(device).double()
    best = torch.empty((len(queries), 0), dtype=torch.float64, device=device)
    for start in range(0, len(vectors), 100_000):
        part = torch.from_numpy(np.array(vectors[start : start + 100_000])).to(device).double()
        both = torch.cat([best, asked @ part.T], dim=1)
        best = both.topk(min(K, both.shape[1]), dim=1).values
    return best


def clustered_vectors(items: int, device: torch.device) -> NDArray[np.float32]:
    """Unit vectors around centers of about 150 items, which lie around centers of about 40 of them."""
    generator = torch.Generator(device).manual_seed(0)
    centers = -(-items // PER_CENTER)

    def drawn(rows: int) -> torch.Tensor:
        return torch.randn(rows, DIMS, device=device, generator=generator)

    def chosen(most: int, rows: int) -> torch.Tensor:
        return torch.randint(most, (rows,), device=device, generator=generator)

    upper = drawn(-(-centers // CENTERS_PER_CENTER))
    lower = upper[chosen(len(upper), centers)] + drawn(centers)
    return _unit_vectors(items, lambda rows: lower[chosen(centers, rows)] + drawn(rows))


def sphere_vectors(items: int, device: torch.device) -> NDArray[np.float32]:
    """Unit vectors spread evenly."""
    generator = torch.Generator(device).manual_seed(1)
    return _unit_vectors(items, lambda rows: torch.randn(rows, DIMS, device=device, generator=generator))


def _unit_vectors(items: int, draw: Callable[[int], torch.Tensor]) -> NDArray[np.float32]:
    made = np.empty((items, DIMS), np.float32)
    for start in range(0, items, PART):
        part = functional.normalize(draw(min(PART, items - start)), dim=1)
        made[start : start + PART] = part.cpu().numpy()
    return made


if __name__ == "__main__":
    main()
