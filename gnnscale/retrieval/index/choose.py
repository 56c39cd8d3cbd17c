"""Which index suits so many targets and queries on this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from gnnscale.config import IndexSettings
from gnnscale.retrieval.index.metric import Metric
from gnnscale.retrieval.index.setting import IndexKind, IndexSetting

EXACT_RATE = 6e10
"""Products and sums a second that exact search does on one core, where memory keeps up; measured on one of 2023."""
CUDA_RATE = 3e14
"""Products and sums a second that exact search does in bf16 on one GPU: an assumption until it is measured, a third of
what the data sheet of an H100 says of dense matrices."""
LISTS_LOOKED_AT = 8
"""Clusters that a search is assumed to need for its recall, where an index is compared with a GPU's exact search."""
EXACT_SECONDS = 20.0
"""Exact search that is expected to take no longer is not worth an index."""
LEAST_TARGETS = 20_000
"""Of fewer targets no index is built."""
HNSW_QUERIES = 10_000
"""Of fewer queries at once, a graph of targets answers each sooner than clusters do."""


@dataclass(frozen=True)
class Workload:
    """What is to be searched.

    Args:
        targets, channels: of the index.
        queries: that will be asked, over all.
        memory_bytes: that the index may take.
        cores: that search.
    """

    targets: int
    channels: int
    queries: int
    memory_bytes: int
    cores: int

    @classmethod
    def here(cls, targets: int, channels: int, queries: int, memory_gb: float | None = None) -> Workload:
        """On this machine, with half of its memory where none is given."""
        cores = os.cpu_count() or 1
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2 if memory_gb is None else memory_gb * 1e9
        return cls(targets, channels, queries, int(memory), cores)

    @property
    def exact_seconds(self) -> float:
        """What exact search is expected to take on the cores."""
        return 2.0 * self.targets * self.channels * self.queries / (EXACT_RATE * self.cores)

    @property
    def cuda_seconds(self) -> float:
        """What exact search is expected to take on a GPU."""
        return 2.0 * self.targets * self.channels * self.queries / CUDA_RATE

    @property
    def clustered_seconds(self) -> float:
        """What clusters are expected to take on the cores: lists of targets and of queries, and what is looked at."""
        lists = lists_for(self.targets)
        looked_at = min(1.0, LISTS_LOOKED_AT / lists)
        products = lists * (self.targets + self.queries) + looked_at * self.targets * self.queries
        return 2.0 * self.channels * products / (EXACT_RATE * self.cores)


def choose_setting(
    workload: Workload, metric: Metric, kind: IndexKind | None = None, device: str = "cpu"
) -> IndexSetting:
    """A setting to begin with; how thoroughly it has to be searched is measured after it is built.

    Exact search where that is quick, and on a GPU while it is expected to be quicker than clusters on the cores. Else
    clusters searched for many queries together, which needs a product as its metric; by Euclidean distance, a graph for
    few queries, and clusters searched for each query, by codes with the vectors beside them where those fit.

    Args:
        workload: what is to be searched.
        metric: of the scores.
        kind: where the choice is made already.
        device: ``cpu`` or ``cuda``.
    """
    kind = kind or _choose_kind(workload, metric, device)
    return IndexSetting(
        kind=kind,
        metric=metric,
        lists=lists_for(workload.targets),
        effort=_first_effort(kind),
        codes=codes_for(workload.channels),
        device=device,
    )


def configured_setting(wanted: IndexSettings, workload: Workload, seed: int) -> IndexSetting:
    """What the configuration says of an index, and what suits the machine where it says nothing.

    Args:
        wanted: section ``retrieval.index``.
        workload: what is to be searched.
        seed: of the run.
    """
    kind = None if wanted.kind == "auto" else IndexKind(wanted.kind)
    setting = choose_setting(workload, Metric(wanted.metric), kind, wanted.device)
    setting = replace(setting, precision=wanted.precision, seed=seed)
    if wanted.lists != "auto":
        setting = replace(setting, lists=wanted.lists)
    return setting if wanted.effort == "auto" else replace(setting, effort=wanted.effort)


def lists_for(targets: int) -> int:
    """Clusters of an index: the power of two nearest to 1.3 times the root of its targets, where it has many."""
    wanted = 1.3 * targets**0.5
    power = 1
    while power * 1.42 < wanted:
        power *= 2
    return max(1, min(power, targets // 40))


def codes_for(channels: int) -> int:
    """Four-bit codes of a vector: one for two channels, where they can be shared out so."""
    return next(codes for codes in range(max(1, channels // 2), 0, -1) if channels % codes == 0)


def _choose_kind(workload: Workload, metric: Metric, device: str) -> IndexKind:
    exact = workload.cuda_seconds if device == "cuda" else workload.exact_seconds
    if workload.targets < LEAST_TARGETS or exact <= EXACT_SECONDS:
        return IndexKind.FLAT
    if device == "cuda" and exact < workload.clustered_seconds:
        return IndexKind.FLAT
    if metric is not Metric.L2:
        return IndexKind.GROUPED
    if device == "cuda":
        return IndexKind.IVF_FLAT
    vectors = 4 * workload.targets * workload.channels
    if workload.queries < HNSW_QUERIES and 1.5 * vectors <= workload.memory_bytes:
        return IndexKind.HNSW
    return IndexKind.IVF_PQ if 1.2 * vectors <= workload.memory_bytes else IndexKind.IVF_FLAT


def _first_effort(kind: IndexKind) -> int:
    return 32 if kind is IndexKind.HNSW else 1
