"""How much of what exact search finds an index finds, and how thoroughly it has to be searched for enough of it."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import faiss
import numpy as np
from numpy.typing import NDArray

from gnnscale.retrieval.index.kind import Index, SavedIndex
from gnnscale.retrieval.index.make_index import build_index
from gnnscale.retrieval.index.metric import Metric, as_searched
from gnnscale.retrieval.index.neighbors import Neighbors, merge_neighbors
from gnnscale.retrieval.index.setting import IndexSetting
from gnnscale.schema import DataError

log = logging.getLogger(__name__)

Built = TypeVar("Built", bound=Index)

ROWS = 262_144
"""Targets that are scored at once."""
NORMAL_95 = 1.959964
"""Of a standard normal deviate, 95 % lie within this much of zero."""
LEAST_GAIN = 1e-3
"""Recall that a more thorough search must add, within three steps, to be worth going on."""
SLACK = 1e-5
"""Share of a score by which sums of products in another order may differ."""


@dataclass(frozen=True)
class Recall:
    """Share of the exact nearest targets that an index finds.

    Args:
        k: targets asked for.
        queries: that were looked at.
        mean: of their shares.
        low, high: 95 % interval of the mean.
    """

    k: int
    queries: int
    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, shares: NDArray[np.float64], k: int) -> Recall:
        """From each query's share.

        The interval is Wilson's (1927) for as many draws of nought or one, which shares spread no wider than.
        """
        n, mean = len(shares), float(shares.mean())
        square = NORMAL_95**2
        middle = (mean + square / (2 * n)) / (1 + square / n)
        reach = NORMAL_95 / (1 + square / n) * math.sqrt(mean * (1 - mean) / n + square / (4 * n * n))
        return cls(k, n, mean, round(max(0.0, middle - reach), 12), round(min(1.0, middle + reach), 12))

    def reaches(self, target: float) -> bool:
        """Whether the lower end is at a target, or, which no sample of its size can tell from it, all were found."""
        return self.low >= target or self.mean == 1

    def __str__(self) -> str:
        return f"recall@{self.k} {self.mean:.4f} ({self.low:.4f} to {self.high:.4f}, {self.queries:,} queries)"


def exact_neighbors(
    vectors: NDArray[np.float32], queries: NDArray[np.float32], k: int, metric: Metric, threads: int = 0
) -> Neighbors:
    """Score every target for some queries.

    Args:
        vectors: of the targets, ``[targets, channels]``; may be mapped.
        queries: ``[queries, channels]``.
        k: targets wanted, at most as many as there are.
        metric: of the scores.
        threads: 0 for every core.
    """
    k = min(k, len(vectors))
    queries = as_searched(metric, queries, "queries")
    kind = faiss.METRIC_L2 if metric is Metric.L2 else faiss.METRIC_INNER_PRODUCT
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads or os.cpu_count() or 1)
    found: Neighbors | None = None
    try:
        for start in range(0, len(vectors), ROWS):
            part = as_searched(metric, vectors[start : start + ROWS], "target vectors")
            scores, ids = faiss.knn(queries, part, min(k, len(part)), metric=kind)
            mine = Neighbors(ids + start, -scores if metric is Metric.L2 else scores)
            found = mine if found is None else merge_neighbors([found, mine], k)
    finally:
        faiss.omp_set_num_threads(before)
    if found is None:
        raise DataError("there are no target vectors to search")
    return found


def measure_recall(found: Neighbors, exact: Neighbors) -> Recall:
    """Recall of what an index found, against what exact search found for the same queries.

    A target that scores as well as the last of the exact ones, up to rounding, is as good as any of them. A query that
    exact search finds fewer than k targets for is measured by those, and one without any counts as answered.
    """
    there = (exact.targets >= 0).sum(1)
    last = np.where(exact.targets >= 0, exact.scores, np.inf).min(1, keepdims=True)
    margin = SLACK * np.where(exact.targets >= 0, np.abs(exact.scores), 0).max(1, keepdims=True)
    right = ((found.targets >= 0) & (found.scores >= last - margin)).sum(1)
    shares = np.where(there > 0, np.minimum(right, there) / np.maximum(there, 1), 1.0)
    return Recall.of(shares, exact.targets.shape[1])


@dataclass(frozen=True)
class Sample:
    """Queries whose exact answer is known.

    Args:
        queries: ``[queries, channels]``.
        exact: their nearest targets.
    """

    queries: NDArray[np.float32]
    exact: Neighbors

    @classmethod
    def draw(
        cls, queries: NDArray[np.float32], vectors: NDArray[np.float32], k: int, metric: Metric, count: int, seed: int
    ) -> Sample:
        """So many of the queries at random, all of them where there are no more, searched for exactly."""
        rows = np.random.default_rng(seed).permutation(len(queries))[:count]
        some = np.ascontiguousarray(queries[np.sort(rows)], np.float32)
        return cls(some, exact_neighbors(vectors, some, k, metric))

    def recall(self, index: Index) -> Recall:
        """Of an index."""
        return measure_recall(index.search(self.queries, self.exact.targets.shape[1]), self.exact)


def build_for_recall(
    vectors: NDArray[np.float32],
    setting: IndexSetting,
    sample: Sample,
    target: float,
    folder: Path | None = None,
    escalate: bool = True,
) -> tuple[SavedIndex, Recall]:
    """Build an index and search it as thoroughly as the recall asks for; see :func:`reach_recall`.

    Args:
        vectors: row i is target i, ``[targets, channels]``.
        folder: where an index may keep its arrays.
    """
    return reach_recall(lambda wanted: build_index(vectors, wanted, folder), setting, sample, target, escalate)


def reach_recall(
    build: Callable[[IndexSetting], Built], setting: IndexSetting, sample: Sample, target: float, escalate: bool = True
) -> tuple[Built, Recall]:
    """Build an index and search it as thoroughly as the recall asks for, but no more.

    Where the most thorough search of one kind is not enough, the next stronger setting is built, and at last exact
    search. Where the search shows that another setting of the kind suits the vectors better, that is built.

    Args:
        build: makes the index of a setting.
        setting: to begin with.
        sample: to measure on.
        target: share that the lower end of the interval must reach.
        escalate: whether to go on where no search reaches the target; else the recall is an error.

    Returns:
        The index, and its recall on the sample.

    Raises:
        DataError: the recall is below the target, and there is to be no escalation.
    """
    index = build(setting)
    index, recall = _search_more(index, sample.recall(index), sample, target)
    if other := setting.of_kind.better_suited(setting, index.setting):
        log.info("the recall takes %s; building %s", index.setting.in_words(), other.in_words())
        return reach_recall(build, other, sample, target, escalate)
    if recall.reaches(target) or setting.of_kind.exact:
        return index, recall
    if not escalate:
        raise DataError(
            f"the most thorough {setting.kind} index has {recall}, below the {target} asked for; allow stronger "
            "settings with retrieval.index.escalate=true, or ask for less with retrieval.index.recall"
        )
    stronger = stronger_setting(setting)
    log.warning("a %s index reaches %s, not %s; building %s", setting.kind, recall, target, stronger.kind)
    return reach_recall(build, stronger, sample, target)


def _search_more(index: Built, recall: Recall, sample: Sample, target: float) -> tuple[Built, Recall]:
    """Search more thoroughly until the recall is reached, or no longer grows."""
    without_gain = 0
    for width in index.setting.widths():
        if recall.reaches(target) or without_gain == 3:
            break
        if width <= index.setting.search_width:
            continue
        log.debug("%s: %s", index.setting.in_words(), recall)
        index, before = index.with_width(width), recall
        recall = sample.recall(index)
        without_gain = without_gain + 1 if recall.mean < before.mean + LEAST_GAIN else 0
    return index, recall


def stronger_setting(setting: IndexSetting) -> IndexSetting:
    """What finds more than the most thorough search of a setting."""
    return setting.of_kind.stronger(setting) or replace(setting, kind="flat", options=None)
