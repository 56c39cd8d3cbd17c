"""Graph and features in memory, mapped from arrays that are built once from the lake."""

from gnnscale.store.adjacency import ALWAYS, Adjacency
from gnnscale.store.arrivals import ArrivalStore, view_for
from gnnscale.store.code_lists import CodeLists
from gnnscale.store.features import NodeFeatures
from gnnscale.store.graph_store import GraphStore

__all__ = ["ALWAYS", "Adjacency", "ArrivalStore", "CodeLists", "GraphStore", "NodeFeatures", "view_for"]
