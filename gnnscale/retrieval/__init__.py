"""Search among all targets, and predictions."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gnnscale.retrieval.embeddings import PairScores, read_pairs, read_vectors
    from gnnscale.retrieval.exact import rank_exact
    from gnnscale.retrieval.index import FlatIndex, Neighbors
    from gnnscale.retrieval.index_stage import build_query_indexes
    from gnnscale.retrieval.merge import search_merged
    from gnnscale.retrieval.stage import Retrieved, read_keys, retrieve

_HOMES = {
    "FlatIndex": "index",
    "Neighbors": "index",
    "PairScores": "embeddings",
    "Retrieved": "stage",
    "build_query_indexes": "index_stage",
    "rank_exact": "exact",
    "read_keys": "stage",
    "read_pairs": "embeddings",
    "read_vectors": "embeddings",
    "retrieve": "stage",
    "search_merged": "merge",
}

__all__ = [
    "FlatIndex",
    "Neighbors",
    "PairScores",
    "Retrieved",
    "build_query_indexes",
    "rank_exact",
    "read_keys",
    "read_pairs",
    "read_vectors",
    "retrieve",
    "search_merged",
]


def __getattr__(name: str) -> Any:
    # A host that only searches on its GPU needs neither the lake's packages nor FAISS.
    if name not in _HOMES:
        raise AttributeError(f"module 'gnnscale.retrieval' has no attribute '{name}'")
    return getattr(import_module(f"gnnscale.retrieval.{_HOMES[name]}"), name)
