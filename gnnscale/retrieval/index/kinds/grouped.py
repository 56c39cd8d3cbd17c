"""Clusters searched for many queries of one neighborhood at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from gnnscale.config import Section
from gnnscale.retrieval.index.cluster_kind import ClusterKind, ClusterOptions
from gnnscale.retrieval.index.kind import SavedIndex
from gnnscale.retrieval.index.metric import Metric
from gnnscale.retrieval.index.setting import IndexSetting
from gnnscale.schema import INDEX_KINDS

LEAST_CLUSTERS = 16
"""Of fewer clusters, all may be looked at."""
MOST_LOOKED_AT = 4
"""Where more than one cluster in so many is looked at, the targets are searched faster without clusters."""


class GroupedOptions(ClusterOptions):
    """Of an index that is searched for groups of queries.

    Args:
        nlist: number of clusters.
        nprobe: clusters looked at for a query, on average: hard queries get more.
        precision: of the scores by which candidates are chosen that are scored again; ``auto`` takes ``bf16`` where the
            processor multiplies it faster than ``fp32``. A GPU takes ``bf16``, and allows for what that takes off.
    """

    precision: Literal["auto", "fp32", "bf16"] = "auto"


@INDEX_KINDS.register("grouped")
class Grouped(ClusterKind):
    """Scores the targets of the nearest clusters by products of whole matrices."""

    Options: ClassVar[type[Section]] = GroupedOptions
    metrics: ClassVar[tuple[Metric, ...]] = (Metric.INNER_PRODUCT, Metric.COSINE)

    @classmethod
    def build(cls, vectors: NDArray[np.float32], setting: IndexSetting, folder: Path | None) -> SavedIndex:
        """Cluster targets, on the GPU or with arrays that are mapped from the folder."""
        if setting.device == "cuda":
            from gnnscale.retrieval.index.gpu.grouped_device_index import GroupedDeviceIndex

            return GroupedDeviceIndex.build(vectors, setting)
        from gnnscale.retrieval.index.grouped.grouped_index import GroupedIndex

        return GroupedIndex.build(vectors, setting, folder)

    @classmethod
    def open(cls, folder: Path, setting: IndexSetting) -> SavedIndex:
        """The index whose arrays are in a folder."""
        if setting.device == "cuda":
            from gnnscale.retrieval.index.gpu.grouped_device_index import GroupedDeviceIndex

            return GroupedDeviceIndex.open(folder, setting)
        from gnnscale.retrieval.index.grouped.grouped_index import GroupedIndex

        return GroupedIndex.open(folder, setting)

    @classmethod
    def stronger(cls, setting: IndexSetting) -> IndexSetting | None:
        """Candidates chosen in full precision, which a GPU's are."""
        whole = setting.device == "cuda" or setting.options.precision == "fp32"
        return None if whole else setting.with_options(precision="fp32")

    @classmethod
    def better_suited(cls, asked: IndexSetting, searched: IndexSetting) -> IndexSetting | None:
        """A single cluster, on a GPU exact search, where much of all has to be looked at: vectors without structure."""
        nlist, nprobe = searched.options.nlist, searched.options.nprobe
        if not LEAST_CLUSTERS <= nlist < MOST_LOOKED_AT * nprobe:
            return None
        if asked.device == "cuda":
            return replace(asked, kind="flat", options=None)
        return asked.with_options(nlist=1, nprobe=1)
