"""Search in clusters for many queries of one neighborhood at a time, by products of whole matrices."""

from gnnscale.retrieval.index.grouped.grouped_index import GroupedIndex

__all__ = ["GroupedIndex"]
