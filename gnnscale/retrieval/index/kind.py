"""What every kind of index states about itself, and what an index does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from gnnscale.config import NoOptions, Section
from gnnscale.retrieval.index.metric import Metric
from gnnscale.retrieval.index.neighbors import Neighbors
from gnnscale.retrieval.index.setting import IndexSetting


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

    def with_width(self, width: int) -> Self:
        """The same targets, searched more or less thoroughly."""

    def search(self, queries: NDArray[np.float32], k: int) -> Neighbors:
        """The ``k`` best targets of each query, at most as many as there are; ids are rows of the built vectors."""


class SavedIndex(Index, Protocol):
    """An index that files can hold."""

    def write(self, folder: Path) -> None:
        """Put into a folder what :meth:`IndexKind.open` reads, unless building has put it there."""


class IndexKind(ABC):
    """One way to search; a subclass registers itself in :data:`gnnscale.schema.INDEX_KINDS`.

    Attributes:
        Options: what can be set of it.
        metrics: that it has.
        devices: that it has a form on, ``cpu`` and ``cuda``.
        exact: whether it finds what exact search does.
        width: name of the option that says how much a search looks at; None where there is one way to search.
    """

    Options: ClassVar[type[Section]] = NoOptions
    metrics: ClassVar[tuple[Metric, ...]] = tuple(Metric)
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    exact: ClassVar[bool] = False
    width: ClassVar[str | None] = None

    @classmethod
    def suggest(cls, targets: int, channels: int) -> dict[str, Any]:
        """Options that suit so many target vectors, beside those that suit any."""
        return {}

    @classmethod
    def most_width(cls, options: Any) -> int:
        """The width that no search can be more thorough than."""
        return 1

    @classmethod
    @abstractmethod
    def build(cls, vectors: NDArray[np.float32], setting: IndexSetting, folder: Path | None) -> SavedIndex:
        """Build an index.

        Args:
            vectors: row i is target i, ``[targets, channels]``; may be mapped.
            setting: of this kind.
            folder: where an index may keep its arrays while it is used; None for memory.

        Raises:
            ConfigError: the device of the setting is not there, or has too little memory.
            DataError: a vector is not finite, or has no direction where the metric needs one.
        """

    @classmethod
    @abstractmethod
    def open(cls, folder: Path, setting: IndexSetting) -> SavedIndex:
        """The index that was written into a folder, searched by a setting."""

    @classmethod
    def stronger(cls, setting: IndexSetting) -> IndexSetting | None:
        """What finds more than the most thorough search of a setting; None where that takes exact search."""
        return None

    @classmethod
    def better_suited(cls, asked: IndexSetting, searched: IndexSetting) -> IndexSetting | None:
        """What is faster, where the width that the recall takes shows that the index does not suit the vectors.

        Args:
            asked: what the index was built by.
            searched: what it is, with the width that reaches the recall.
        """
        return None

    @classmethod
    def most_shown(cls, setting: IndexSetting) -> int | None:
        """Targets that a search can be asked for at most; None for all."""
        return None
