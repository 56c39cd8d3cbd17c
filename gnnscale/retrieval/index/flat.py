"""Exact inner-product search."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnscale.retrieval.index.faiss_index import FaissIndex
from gnnscale.retrieval.index.setting import IndexSetting


def FlatIndex(vectors: NDArray[np.float32]) -> FaissIndex:  # noqa: N802
    return FaissIndex.build(vectors, IndexSetting())
