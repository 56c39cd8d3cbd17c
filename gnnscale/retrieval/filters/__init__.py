"""Filters: which targets each entity may be given."""

from gnnscale.retrieval.filters.filter import Filter
from gnnscale.retrieval.filters.lists import AllowLists, OwnCategory

__all__ = ["AllowLists", "Filter", "OwnCategory"]
