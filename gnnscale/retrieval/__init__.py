"""Search among all targets, and predictions."""

from gnnscale.retrieval.embeddings import PairScores, read_pairs, read_vectors
from gnnscale.retrieval.exact import rank_exact
from gnnscale.retrieval.index import FlatIndex, Neighbors
from gnnscale.retrieval.index_stage import build_query_indexes
from gnnscale.retrieval.merge import search_merged
from gnnscale.retrieval.retrieve import Retrieved, read_keys, retrieve

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
