"""Exact inner-product search."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnscale.retrieval.index.faiss_index import FaissIndex
from gnnscale.retrieval.index.setting import IndexSetting


class FlatIndex(FaissIndex):
    """Scores every target.

    Args:
        vectors: float32 ``[targets, channels]``; row i is target i.
    """

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        setting = IndexSetting()
        super().__init__(FaissIndex.build(vectors, setting).index, setting)
