"""Indexes that FAISS builds and searches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import faiss
import numpy as np
from numpy.typing import NDArray

from gnnscale.retrieval.index.installed_faiss import faiss_packages
from gnnscale.retrieval.index.metric import Metric, as_searched
from gnnscale.retrieval.index.neighbors import Neighbors
from gnnscale.retrieval.index.setting import IndexSetting
from gnnscale.schema import ConfigError, DataError

if TYPE_CHECKING:
    from gnnscale.retrieval.index.faiss_kind import FaissKind

FILE = "index.faiss"
ROWS = 65_536
"""Vectors that are added at once."""
PER_CLUSTER = 64
"""Vectors of the sample that each cluster is trained on."""
LEAST_SAMPLE = 16_384
"""Vectors that codes are trained on, where there are as many."""


class FaissIndex:
    """A FAISS index over target vectors.

    Args:
        index: holds the vectors; target i was the i-th that was added.
        setting: what it was built by; its width and threads count for searches.

    Attributes:
        index: as FAISS has it.
    """

    def __init__(self, index: faiss.Index, setting: IndexSetting) -> None:
        self.index, self.setting = index, setting

    @classmethod
    def build(cls, vectors: NDArray[np.float32], setting: IndexSetting) -> FaissIndex:
        """Train an index on a sample, where its kind needs that, and add vectors in stretches.

        Args:
            vectors: row i is target i, ``[targets, channels]``; may be mapped.
            setting: kind and parameters.

        Raises:
            ConfigError: ``device`` is cuda, and this FAISS or machine has none.
            DataError: a vector is not finite, or has no direction where the metric needs one.
        """
        count, channels = vectors.shape
        setting = _kind_of(setting).fit(setting, count)
        kind = _kind_of(setting)
        index = faiss.index_factory(channels, kind.factory(setting.options, channels), _faiss_metric(setting.metric))
        kind.prepare(index, setting.options)
        if setting.device == "cuda":
            index = to_gpu(index)
        with _threads(setting.threads):
            if not index.is_trained:
                rng = np.random.default_rng(setting.seed)
                size = min(count, max(PER_CLUSTER * setting.most_width, LEAST_SAMPLE))
                rows = np.sort(rng.choice(count, size, replace=False))
                index.train(as_searched(setting.metric, vectors[rows], "target vectors"))
            for start in range(0, count, ROWS):
                index.add(as_searched(setting.metric, vectors[start : start + ROWS], "target vectors"))
        return cls(index, setting)

    @property
    def size(self) -> int:
        """Number of targets."""
        return int(self.index.ntotal)

    @property
    def channels(self) -> int:
        """Channels of a vector."""
        return int(self.index.d)

    def with_width(self, width: int) -> FaissIndex:
        """The same targets, searched more or less thoroughly."""
        return FaissIndex(self.index, self.setting.with_width(width))

    def search(self, queries: NDArray[np.float32], k: int) -> Neighbors:
        """The ``k`` targets of the largest scores, at most as many as there are.

        Args:
            queries: ``[queries, channels]``.
            k: targets wanted.

        Raises:
            DataError: queries and index differ in channels, or a query is not finite or has no direction.
        """
        if queries.shape[1] != self.channels:
            raise DataError(f"queries have {queries.shape[1]} channels and the index {self.channels}")
        queries = as_searched(self.setting.metric, queries, "queries")
        k = min(k, self.size)
        if not len(queries) or not k:
            return Neighbors(np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32))
        parameters = _kind_of(self.setting).parameters(self.setting.options)
        with _threads(self.setting.threads):
            scores, targets = self.index.search(queries, k, params=parameters)
        if self.setting.metric is Metric.L2:
            scores = -scores
        return Neighbors(targets, np.where(targets < 0, np.float32(-np.inf), scores))

    def write(self, folder: Path) -> None:
        """Keep the index in a file of a folder."""
        on_cpu = faiss.index_gpu_to_cpu(self.index) if self.setting.device == "cuda" else self.index
        faiss.write_index(on_cpu, str(folder / FILE))

    @classmethod
    def open(cls, folder: Path, setting: IndexSetting) -> FaissIndex:
        """The index that :meth:`write` kept."""
        index = faiss.read_index(str(folder / FILE))
        return cls(to_gpu(index) if setting.device == "cuda" else index, setting)


def to_gpu(index: faiss.Index) -> faiss.Index:
    """The index on every GPU that FAISS sees.

    Raises:
        ConfigError: this FAISS has no GPU forms, or the machine no GPU.
    """
    if not hasattr(faiss, "StandardGpuResources"):
        here = " and ".join(faiss_packages()) or "another"
        raise ConfigError(
            f"an index of this kind on cuda needs FAISS for GPUs, and here is {here}; uninstall that and install "
            "faiss-gpu in its place (both go into one folder), or take retrieval.index.kind=flat, which needs none"
        )
    if not faiss.get_num_gpus():
        raise ConfigError("an index on cuda needs a GPU, and FAISS sees none")
    options = faiss.GpuMultipleClonerOptions()
    options.useFloat16 = True
    options.shard = faiss.get_num_gpus() > 1
    return faiss.index_cpu_to_all_gpus(index, co=options)


def _kind_of(setting: IndexSetting) -> type[FaissKind]:
    # Only its kinds build such an index.
    return cast("type[FaissKind]", setting.of_kind)


def _faiss_metric(metric: Metric) -> int:
    return int(faiss.METRIC_L2 if metric is Metric.L2 else faiss.METRIC_INNER_PRODUCT)


@contextmanager
def _threads(wanted: int) -> Iterator[None]:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(wanted or os.cpu_count() or 1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
