"""Lists made of what an index has shown: both branches merged, filtered, capped and explored.

The index's own search is left out: its answers are drawn beforehand. The peer merges the branches in NumPy, an entity
at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from gnnscale.arrays import Ragged
from gnnscale.retrieval import Neighbors, PairScores
from gnnscale.retrieval.filters.diversity import Diversity
from gnnscale.retrieval.filters.filter import Filter
from gnnscale.retrieval.ranking.allowed_search import AllowedSearch
from gnnscale.retrieval.ranking.exploration import Exploration
from gnnscale.retrieval.ranking.rank_batch import RankingRule, rank_batch
from gnnscale.retrieval.ranking.tower import TargetVectors
from tests.benchmarks.measure import arguments, finish, measured, surroundings

SMALL, FULL = (20_000, 200_000), (100_000, 1_000_000)
K, DEPTH, PAIRS, DENIED, CATEGORIES, CHANNELS = 25, 100, 50, 50, 5000, 16


class Answers:
    """What an index would show, ``DEPTH`` targets of each query; no deeper question comes of it."""

    def __init__(self, entities: int, targets: int) -> None:
        rng = np.random.default_rng(0)
        self.size, self.channels = targets, CHANNELS
        start = rng.integers(0, targets - 7 * DEPTH, (entities, 1))
        shown = start + 7 * rng.permuted(np.tile(np.arange(DEPTH), (entities, 1)), axis=1)
        self.shown = Neighbors(shown, np.sort(rng.random((entities, DEPTH), np.float32))[:, ::-1].copy())

    def search(self, queries: np.ndarray, k: int) -> Neighbors:
        assert (len(queries), k) == self.shown.targets.shape
        return self.shown


def main() -> None:
    """Run, print a table, and with ``--json`` one line more."""
    options = arguments(__doc__ or "")
    entities, targets = FULL if options.full else SMALL
    rng = np.random.default_rng(1)
    index, rows = Answers(entities, targets), np.arange(entities)
    own = rng.integers(0, targets // PAIRS, entities * PAIRS) + np.tile(np.arange(PAIRS) * (targets // PAIRS), entities)
    scores = rng.random(len(own), np.float32)
    pairs = PairScores(np.arange(entities + 1) * PAIRS, own, scores)
    denied = Ragged.from_pairs(np.repeat(rows, DENIED), rng.integers(0, targets, entities * DENIED), entities)
    everything, some = Filter(np.ones(targets, bool)), Filter(rng.random(targets) < 0.9, denied)
    queries = rng.random((entities, CHANNELS), np.float32)
    vectors = TargetVectors(rng.random((targets, CHANNELS), np.float32))
    cap = Diversity(rng.integers(0, CATEGORIES, targets), 3)
    plain, explored = RankingRule(K, DEPTH), RankingRule(K, DEPTH, Exploration(0.1, 0))

    def lists(rule: RankingRule, keep: Filter, **parts: Any) -> Callable[[], Any]:
        search = AllowedSearch(index, keep, vectors, **parts)
        return lambda: rank_batch(search, rule, queries, rows)

    steps = {
        "merged": lists(plain, everything, pairs=pairs),
        "filtered": lists(plain, some),
        "filtered_merged": lists(plain, some, pairs=pairs),
        "filtered_merged_2_threads": lists(plain, some, pairs=pairs, threads=2),
        "filtered_merged_capped": lists(plain, some, pairs=pairs, diversity=cap),
        "filtered_merged_capped_explored": lists(explored, some, pairs=pairs, diversity=cap),
    }
    with measured() as whole:
        seconds = {name: fastest(step) for name, step in steps.items()}
        started = time.monotonic()
        peer = merge_by_rows(index.shown, pairs)
        seconds["numpy_by_rows"] = time.monotonic() - started
    np.testing.assert_array_equal(steps["merged"]().targets, peer)
    for name, spent in seconds.items():
        print(f"{name:34s} {spent:8.3f} s  {entities / spent:12,.0f} entities/s", flush=True)
    result = {
        **surroundings(("numpy", "numba")),
        "entities": entities,
        "targets": targets,
        "k": K,
        "depth": DEPTH,
        "pairs": PAIRS,
        "denied": DENIED,
        "seconds": round(seconds["merged"], 3),
        "ratio_numpy": round(seconds["numpy_by_rows"] / seconds["merged"], 2),
        "peak_gb": round(whole.peak_gb, 2),
        "steps": {name: round(spent, 3) for name, spent in seconds.items()},
    }
    finish(options, result)


def fastest(step: Callable[[], Any]) -> float:
    """Seconds of the best of three runs, after one that compiles."""
    step()
    spent = []
    for _ in range(3):
        started = time.monotonic()
        step()
        spent.append(time.monotonic() - started)
    return min(spent)


def merge_by_rows(shown: Neighbors, pairs: PairScores) -> np.ndarray:
    """The best ``K`` of both branches, an entity at a time."""
    lists = []
    for i, (found, tower) in enumerate(zip(shown.targets, shown.scores, strict=True)):
        own = slice(pairs.indptr[i], pairs.indptr[i + 1])
        outside = ~np.isin(found, pairs.targets[own])
        ids = np.concatenate([pairs.targets[own], found[outside]])
        scores = np.concatenate([pairs.scores[own], tower[outside]])
        lists.append(ids[np.lexsort((ids, -scores))[:K]])
    return np.stack(lists)


if __name__ == "__main__":
    main()
