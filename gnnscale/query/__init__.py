"""The predictive query language: what to predict, for whom, over which window."""

from gnnscale.query.parse import parse
from gnnscale.query.predictive_query import PredictiveQuery
from gnnscale.query.task import TaskType
from gnnscale.query.tree import Aggregation, ColumnName, QueryTree
from gnnscale.query.window import Window

__all__ = ["Aggregation", "ColumnName", "PredictiveQuery", "QueryTree", "TaskType", "Window", "parse"]
