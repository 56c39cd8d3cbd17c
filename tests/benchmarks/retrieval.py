"""Nearest targets of every item of an inventory, beside FAISS's IVF-flat, IVF-PQ with re-ranking and HNSW.

Ours builds its index, finds by a sample how thoroughly it has to be searched for the recall, and answers every item;
all of that counts. A peer gets the ``nprobe`` or ``ef_search`` that reaches the same recall on the same sample for
nothing; its build counts, and its search is timed on some queries and multiplied. HNSW takes too long to build on ten
million items here: its figures at sizes past a million are those of a million, times the ratio of n log n for the build
and of log n for a query. Recall is measured from other queries than those that the width was found with.
"""

from __future__ import annotations

import argparse
import math
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnscale.retrieval.index.faiss_index import FaissIndex
from gnnscale.retrieval.index.index_size import codes_for, nlist_for
from gnnscale.retrieval.index.metric import Metric
from gnnscale.retrieval.index.neighbors import Neighbors
from gnnscale.retrieval.index.recall import Recall, Sample, build_for_recall, exact_neighbors, measure_recall
from gnnscale.retrieval.index.setting import IndexSetting
from tests.benchmarks.inventory import sphere_vectors, trained_vectors
from tests.benchmarks.measure import finish, measured, surroundings

K, TARGET, SAMPLED = 25, 0.95, 1000
SMALL, FULL = (100_000,), (1_000_000, 10_000_000)
PEER_QUERIES = 20_000
PART = 1_000_000
"""Queries that are answered together."""
MOST_PROBES = 64
"""Lists past which codes get more candidates scored again instead."""
HNSW_ITEMS = 1_000_000
PEERS = ("ivf_flat", "ivf_pq", "hnsw")


def main() -> None:
    """Run, and with ``--json`` print one line more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="the sizes that are claimed; an hour")
    parser.add_argument("--json", action="store_true", help="end with one JSON object on a line")
    parser.add_argument("--peers", nargs="*", default=PEERS, choices=PEERS, help="default: all")
    parser.add_argument("--keep", type=Path, help="folder that keeps the vectors for another run")
    options = parser.parse_args()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="retrieval-"))
    try:
        results = [measure(folder, items, options.peers) for items in (FULL if options.full else SMALL)]
        hard = worst_case(folder, (FULL if options.full else SMALL)[0])
    finally:
        if options.keep is None:
            shutil.rmtree(folder)
    finish(
        options,
        {
            "benchmark": "retrieval",
            **surroundings(("faiss-cpu", "torch", "numba", "numpy")),
            "k": K,
            "dims": 128,
            **results[-1],
            "sizes": results,
            "sphere": hard,
        },
    )


def measure(folder: Path, items: int, group: Sequence[str]) -> dict[str, Any]:
    """Every item's neighbors, ours and the peers'."""
    vectors = trained_vectors(folder, items)
    sample = Sample.draw(vectors, vectors, K, Metric.INNER_PRODUCT, SAMPLED, seed=1)
    other = Sample.draw(vectors, vectors, K, Metric.INNER_PRODUCT, SAMPLED, seed=2)
    row: dict[str, Any] = {"items": items, "queries": items, **hardness(other)}
    row |= ours(folder, vectors, sample, other)
    for kind in group:
        measured = peer(vectors, sample, kind)
        row[f"ratio_{kind}"] = round(measured["seconds"] / row["seconds"], 2)
        row[str(kind)] = measured
    print(row, flush=True)
    return row


def ours(folder: Path, vectors: NDArray[np.float32], sample: Sample, other: Sample) -> dict[str, Any]:
    """Seconds of build, tuning and search, recall and memory of the grouped index."""
    setting = IndexSetting.of("grouped", nlist=nlist_for(len(vectors)))
    room = Path(tempfile.mkdtemp(prefix="index-", dir=folder))
    try:
        with measured() as whole:
            started = time.perf_counter()
            index, _ = build_for_recall(vectors, setting, sample, TARGET, room)
            built = time.perf_counter() - started
            for start in range(0, len(vectors), PART):
                index.search(vectors[start : start + PART], K)
            seconds = time.perf_counter() - started
        recall = other.recall(index)
    finally:
        shutil.rmtree(room)
    return {
        "seconds": round(seconds, 1),
        "build_seconds": round(built, 1),
        "queries_per_second": round(len(vectors) / (seconds - built)),
        "recall": round(recall.mean, 4),
        "recall_interval": [round(recall.low, 4), round(recall.high, 4)],
        "peak_gb": round(whole.peak_gb, 2),
        "setting": index.setting.to_dict(),
    }


def peer(vectors: NDArray[np.float32], sample: Sample, kind: str) -> dict[str, Any]:
    """Seconds of build and of all queries at the least width that reaches the recall."""
    count = min(len(vectors), HNSW_ITEMS) if kind == "hnsw" else len(vectors)
    part = vectors[:count]
    if count < len(vectors):
        sample = Sample(sample.queries, exact_neighbors(part, sample.queries, K, Metric.INNER_PRODUCT))
    setting = IndexSetting.of(kind, nlist=nlist_for(count), codes=codes_for(vectors.shape[1]))
    with measured() as whole:
        started = time.perf_counter()
        index = FaissIndex.build(part, setting)
        built = time.perf_counter() - started
        index, recall = least_width(index, sample)
        queries = np.ascontiguousarray(vectors[:: max(1, len(vectors) // PEER_QUERIES)][:PEER_QUERIES])
        index.search(queries[:1000], K)
        began = time.perf_counter()
        index.search(queries, K)
        rate = len(queries) / (time.perf_counter() - began)
    grown = math.log(len(vectors)) / math.log(count)
    built *= len(vectors) / count * grown
    rate /= grown
    return {
        "seconds": round(built + len(vectors) / rate, 1),
        "build_seconds": round(built, 1),
        "queries_per_second": round(rate),
        "recall": round(recall.mean, 4),
        "search_width": index.setting.search_width,
        "refine": getattr(index.setting.options, "refine", None),
        "measured_on_items": count,
        "peak_gb": round(whole.peak_gb, 2),
    }


def least_width(index: FaissIndex, sample: Sample) -> tuple[FaissIndex, Recall]:
    """The peer at the least width that reaches the recall; codes get as many candidates scored again as that takes."""
    refines = (4, 8, 16, 32) if index.setting.has_option("refine") else (None,)
    for refine in refines:
        setting = index.setting if refine is None else index.setting.with_options(refine=refine)
        for width in setting.widths():
            tried = FaissIndex(index.index, setting.with_width(width))
            recall = sample.recall(tried)
            if recall.mean >= TARGET or (refine != refines[-1] and width >= MOST_PROBES):
                break
        if recall.mean >= TARGET:
            break
    return tried, recall


def hardness(sample: Sample) -> dict[str, float]:
    """How far neighbors stand out.

    ``contrast`` is the mean distance from a query to any item over that to its nearest other one (He et al., 2012), and
    ``intrinsic_dimension`` the maximum-likelihood estimate from the distances of the K nearest (Levina & Bickel, 2004),
    averaged as MacKay and Ghahramani correct it. Vectors are of length one.
    """
    scores = sample.exact.scores.astype(np.float64)
    distances = np.sqrt(np.maximum(2 - 2 * scores, 1e-12))[:, 1:]  # the first is the query itself
    any_two = np.sqrt(np.maximum(2 - 2 * (sample.queries @ sample.queries.T), 0))
    mean = any_two[~np.eye(len(any_two), dtype=bool)].mean()
    logs = np.log(distances[:, -1:] / distances[:, :-1]).mean(1)
    return {
        "contrast": round(float(mean / distances[:, 0].mean()), 3),
        "intrinsic_dimension": round(float(1 / logs.mean()), 2),
    }


def worst_case(folder: Path, items: int) -> dict[str, Any]:
    """Vectors without structure: how much of them has to be looked at for the recall."""
    vectors = sphere_vectors(items)
    sample = Sample.draw(vectors, vectors, K, Metric.INNER_PRODUCT, SAMPLED // 4, seed=1)
    setting = IndexSetting.of("grouped", nlist=nlist_for(items))
    index, recall = build_for_recall(vectors, setting, sample, TARGET)
    queries = vectors[:PEER_QUERIES]
    began = time.perf_counter()
    index.search(queries, K)
    rate = len(queries) / (time.perf_counter() - began)
    began = time.perf_counter()
    exact: Neighbors = exact_neighbors(vectors, queries[:2000], K, Metric.INNER_PRODUCT)
    exact_rate = 2000 / (time.perf_counter() - began)
    found = measure_recall(index.search(queries[:2000], K), exact)
    row = {
        "items": items,
        **hardness(sample),
        "queries_per_second": round(rate),
        "exact_queries_per_second": round(exact_rate),
        "nlist": index.setting.options.nlist,
        "nprobe": index.setting.search_width,
        "recall": round(found.mean, 4),
        "recall_on_sample": asdict(recall),
        "seconds_for_all": round(items / rate, 1),
    }
    print(row, flush=True)
    return row


if __name__ == "__main__":
    main()
