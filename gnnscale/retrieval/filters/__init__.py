"""Filters: which targets each entity may be given."""

from gnnscale.retrieval.filters.categories import read_categories
from gnnscale.retrieval.filters.conditions import TargetCondition, read_mask
from gnnscale.retrieval.filters.filter import Filter
from gnnscale.retrieval.filters.lists import AllowLists, OwnCategory
from gnnscale.retrieval.filters.read import read_allowed, read_denied
from gnnscale.retrieval.filters.rule import FilterRule, read_filter

__all__ = [
    "AllowLists",
    "Filter",
    "FilterRule",
    "OwnCategory",
    "TargetCondition",
    "read_allowed",
    "read_categories",
    "read_denied",
    "read_filter",
    "read_mask",
]
