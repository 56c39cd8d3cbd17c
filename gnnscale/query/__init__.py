"""The predictive query language: what to predict, for whom, over which window."""

from gnnscale.query.parse import parse
from gnnscale.query.predictive_query import PredictiveQuery, TaskType
from gnnscale.query.tree import Aggregation, ColumnName, QueryTree, Window

__all__ = ["Aggregation", "ColumnName", "PredictiveQuery", "QueryTree", "TaskType", "Window", "parse"]
