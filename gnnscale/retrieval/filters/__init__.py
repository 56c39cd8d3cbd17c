"""Filters: which targets each entity may be given."""

from gnnscale.retrieval.filters.allow_lists import AllowLists, OwnCategory
from gnnscale.retrieval.filters.filter import Filter
from gnnscale.retrieval.filters.filter_rule import FilterRule, read_filter
from gnnscale.retrieval.filters.own_category import read_categories
from gnnscale.retrieval.filters.read_filters import read_allowed, read_denied
from gnnscale.retrieval.filters.target_conditions import TargetCondition, read_mask

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
