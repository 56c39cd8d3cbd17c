"""Which index suits so many targets and queries on this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from gnnscale.config import IndexSettings
from gnnscale.retrieval.index.index_size import nlist_for
from gnnscale.retrieval.index.metric import Metric
from gnnscale.retrieval.index.setting import IndexSetting

EXACT_RATE = 6e10
"""Products and sums a second that exact search does on one core, where memory keeps up; measured on one of 2023."""
CUDA_RATE = 3e14
"""Products and sums a second that exact search does in bf16 on one GPU: an assumption until it is measured, a third of
what the data sheet of an H100 says of dense matrices."""
CLUSTERS_LOOKED_AT = 8
"""Clusters that a search is assumed to need for its recall, where an index is compared with a GPU's exact search."""
EXACT_SECONDS = 20.0
"""Exact search that is expected to take no longer is not worth an index."""
LEAST_TARGETS = 20_000
"""Of fewer targets no index is built."""
HNSW_QUERIES = 10_000
"""Of fewer queries at once, a graph of targets answers each sooner than clusters do."""


WANTED = ("nlist", "nprobe", "ef_search", "precision")
"""Options that the configuration names for the kinds which have them."""


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
        """What clusters are expected to take on the cores: those of targets and of queries, and what is looked at."""
        nlist = nlist_for(self.targets)
        looked_at = min(1.0, CLUSTERS_LOOKED_AT / nlist)
        products = nlist * (self.targets + self.queries) + looked_at * self.targets * self.queries
        return 2.0 * self.channels * products / (EXACT_RATE * self.cores)


def choose_setting(workload: Workload, metric: Metric, kind: str | None = None, device: str = "cpu") -> IndexSetting:
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
    setting = IndexSetting(kind, metric, device=device)
    return setting.with_options(**setting.of_kind.suggest(workload.targets, workload.channels))


def configured_setting(wanted: IndexSettings, workload: Workload, seed: int) -> IndexSetting:
    """What the configuration says of an index, and what suits the machine where it says nothing.

    Of the options that several kinds have, those count that the one which is taken has.

    Args:
        wanted: section ``retrieval.index``.
        workload: what is to be searched.
        seed: of the run.

    Raises:
        ConfigError: an option that the kind does not have, or a kind that does not go with the metric or the device.
    """
    kind = None if wanted.kind == "auto" else wanted.kind
    setting = replace(choose_setting(workload, Metric(wanted.metric), kind, wanted.device), seed=seed)
    given = {name: getattr(wanted, name) for name in WANTED if getattr(wanted, name) != "auto"}
    known = {name: value for name, value in given.items() if setting.has_option(name)}
    return setting.with_options(**known, **wanted.options)


def _choose_kind(workload: Workload, metric: Metric, device: str) -> str:
    exact = workload.cuda_seconds if device == "cuda" else workload.exact_seconds
    if workload.targets < LEAST_TARGETS or exact <= EXACT_SECONDS:
        return "flat"
    if device == "cuda" and exact < workload.clustered_seconds:
        return "flat"
    if metric is not Metric.L2:
        return "grouped"
    if device == "cuda":
        return "ivf_flat"
    vectors = 4 * workload.targets * workload.channels
    if workload.queries < HNSW_QUERIES and 1.5 * vectors <= workload.memory_bytes:
        return "hnsw"
    return "ivf_pq" if 1.2 * vectors <= workload.memory_bytes else "ivf_flat"
