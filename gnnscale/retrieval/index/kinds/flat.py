"""Exact search: every target is scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gnnscale.retrieval.index.faiss_kind import FaissKind
from gnnscale.retrieval.index.kind import SavedIndex
from gnnscale.retrieval.index.setting import IndexSetting
from gnnscale.schema import INDEX_KINDS


@INDEX_KINDS.register("flat")
class Flat(FaissKind):
    """Exact search by FAISS, or on a GPU by :mod:`gnnscale.retrieval.index.gpu`."""

    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")
    exact: ClassVar[bool] = True

    @classmethod
    def factory(cls, options: Any, channels: int) -> str:
        """What FAISS's ``index_factory`` calls the index."""
        return "Flat"

    @classmethod
    def build(cls, vectors: NDArray[np.float32], setting: IndexSetting, folder: Path | None) -> SavedIndex:
        """Hold the vectors, in memory or on the GPU."""
        if setting.device != "cuda":
            return super().build(vectors, setting, folder)
        from gnnscale.retrieval.index.gpu.device_index import DeviceIndex

        return DeviceIndex.build(vectors, setting)

    @classmethod
    def open(cls, folder: Path, setting: IndexSetting) -> SavedIndex:
        """The index that was written into a folder."""
        if setting.device != "cuda":
            return super().open(folder, setting)
        from gnnscale.retrieval.index.gpu.device_index import DeviceIndex

        return DeviceIndex.open(folder, setting)

    @classmethod
    def most_shown(cls, setting: IndexSetting) -> int | None:
        """All targets, on any device."""
        return None
