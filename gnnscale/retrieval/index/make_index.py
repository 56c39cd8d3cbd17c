"""One way to build any index."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from gnnscale.retrieval.index.faiss_index import FaissIndex
from gnnscale.retrieval.index.gpu.device_index import DeviceIndex
from gnnscale.retrieval.index.grouped.grouped_index import GroupedIndex
from gnnscale.retrieval.index.neighbors import Neighbors
from gnnscale.retrieval.index.setting import IndexKind, IndexSetting
from gnnscale.schema import DataError


class Index(Protocol):
    """Target vectors that can be searched."""

    @property
    def setting(self) -> IndexSetting:
        """What it was built by, and how thoroughly it is searched."""

    @property
    def size(self) -> int:
        """Number of targets."""

    @property
    def channels(self) -> int:
        """Channels of a vector."""

    def with_effort(self, effort: int) -> Self:
        """The same targets, searched more or less thoroughly."""

    def search(self, queries: NDArray[np.float32], k: int) -> Neighbors:
        """The ``k`` best targets of each query, at most as many as there are; ids are rows of the built vectors."""


def build_index(vectors: NDArray[np.float32], setting: IndexSetting, folder: Path | None = None) -> Index:
    """Build an index.

    Args:
        vectors: row i is target i, ``[targets, channels]``; may be mapped.
        setting: kind and parameters.
        folder: where a grouped index keeps its arrays while it is used; default: in memory.

    Raises:
        ConfigError: the device of the setting is not there, or has too little memory.
        DataError: there are no vectors, or one is not finite, or has no direction where the metric needs one.
    """
    if not len(vectors):
        raise DataError("there are no target vectors to build an index of")
    if setting.kind is IndexKind.GROUPED:
        return GroupedIndex.build(vectors, setting, folder)
    if setting.on_device:
        return DeviceIndex.build(vectors, setting)
    return FaissIndex.build(vectors, setting)
