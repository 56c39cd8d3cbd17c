"""What kinds have in common whose indexes FAISS builds and searches; FAISS is loaded when one is built or opened."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnscale.retrieval.index.kind import IndexKind, SavedIndex
from gnnscale.retrieval.index.setting import IndexSetting

MOST_ON_CUDA = 2048
"""Targets that an index of FAISS on a GPU can be asked for."""


class FaissKind(IndexKind):
    """A kind that FAISS has."""

    @classmethod
    @abstractmethod
    def factory(cls, options: Any, channels: int) -> str:
        """What FAISS's ``index_factory`` calls the index.

        Raises:
            ConfigError: the options don't go with so many channels.
        """

    @classmethod
    def parameters(cls, options: Any) -> Any:
        """FAISS's parameters of a search; None for its own."""
        return None

    @classmethod
    def prepare(cls, index: Any, options: Any) -> None:
        """Set what the factory's name does not say, before vectors are added."""

    @classmethod
    def fit(cls, setting: IndexSetting, targets: int) -> IndexSetting:
        """The setting, as far as so many targets allow it."""
        return setting

    @classmethod
    def build(cls, vectors: NDArray[np.float32], setting: IndexSetting, folder: Path | None) -> SavedIndex:
        """Build the index in memory."""
        from gnnscale.retrieval.index.faiss_index import FaissIndex

        return FaissIndex.build(vectors, setting)

    @classmethod
    def open(cls, folder: Path, setting: IndexSetting) -> SavedIndex:
        """The index that was written into a folder."""
        from gnnscale.retrieval.index.faiss_index import FaissIndex

        return FaissIndex.open(folder, setting)

    @classmethod
    def most_shown(cls, setting: IndexSetting) -> int | None:
        """FAISS shows no more on a GPU."""
        return MOST_ON_CUDA if setting.device == "cuda" else None
