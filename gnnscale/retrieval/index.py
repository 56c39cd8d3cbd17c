"""A FAISS index over target vectors: built, saved, reloaded and searched by inner product."""

from __future__ import annotations

from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from gnnscale.schema import DataError


@dataclass(frozen=True)
class Neighbors:
    """Nearest targets of each query, best first: int64 ids and float32 scores, both ``[queries, k]``."""

    targets: NDArray[np.int64]
    scores: NDArray[np.float32]


class FlatIndex:
    """Exact inner-product search.

    Args:
        vectors: float32 ``[targets, channels]``; row i is target i.
    """

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self._index: faiss.Index = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(vectors)

    @property
    def size(self) -> int:
        """Number of targets."""
        return int(self._index.ntotal)

    @property
    def channels(self) -> int:
        """Channels of a vector."""
        return int(self._index.d)

    def search(self, queries: NDArray[np.float32], k: int) -> Neighbors:
        """The ``k`` targets of the largest inner product, at most as many as there are.

        Raises:
            DataError: queries and index differ in channels.
        """
        if queries.shape[1] != self.channels:
            raise DataError(f"queries have {queries.shape[1]} channels and the index {self.channels}")
        scores, targets = self._index.search(np.ascontiguousarray(queries, np.float32), min(k, self.size))
        return Neighbors(targets, scores)

    def to_bytes(self) -> bytes:
        """The index as FAISS serialises it."""
        return faiss.serialize_index(self._index).tobytes()

    @classmethod
    def from_bytes(cls, content: bytes) -> FlatIndex:
        """Inverse of :meth:`to_bytes`."""
        index = cls.__new__(cls)
        index._index = faiss.deserialize_index(np.frombuffer(content, np.uint8))
        return index
