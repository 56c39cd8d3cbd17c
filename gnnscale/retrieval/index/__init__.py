"""Indexes of target vectors: exact, clustered, coded and graph-shaped, behind one interface."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gnnscale.retrieval.index.metric import Metric
from gnnscale.retrieval.index.neighbors import Neighbors, merge_neighbors
from gnnscale.retrieval.index.setting import IndexKind, IndexSetting

if TYPE_CHECKING:
    from gnnscale.retrieval.index.build import Index, build_index
    from gnnscale.retrieval.index.faiss_index import FaissIndex
    from gnnscale.retrieval.index.flat import FlatIndex
    from gnnscale.retrieval.index.grouped import GroupedIndex

_HOMES = {
    "FaissIndex": "faiss_index",
    "FlatIndex": "flat",
    "GroupedIndex": "grouped",
    "Index": "build",
    "build_index": "build",
}

__all__ = [
    "FaissIndex",
    "FlatIndex",
    "GroupedIndex",
    "Index",
    "IndexKind",
    "IndexSetting",
    "Metric",
    "Neighbors",
    "build_index",
    "merge_neighbors",
]


def __getattr__(name: str) -> Any:
    # A host that only searches on its GPU needs neither FAISS nor numba.
    if name not in _HOMES:
        raise AttributeError(f"module 'gnnscale.retrieval.index' has no attribute '{name}'")
    return getattr(import_module(f"gnnscale.retrieval.index.{_HOMES[name]}"), name)
