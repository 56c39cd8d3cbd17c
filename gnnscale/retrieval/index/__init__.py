"""Indexes of target vectors: exact, clustered, coded and graph-shaped, behind one interface."""

from gnnscale.retrieval.index.build import Index, build_index
from gnnscale.retrieval.index.faiss_index import FaissIndex
from gnnscale.retrieval.index.flat import FlatIndex
from gnnscale.retrieval.index.grouped import GroupedIndex
from gnnscale.retrieval.index.metric import Metric
from gnnscale.retrieval.index.neighbors import Neighbors, merge_neighbors
from gnnscale.retrieval.index.setting import IndexKind, IndexSetting

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
