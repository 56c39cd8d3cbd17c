"""Graph and features in memory, mapped from arrays that are built once from the lake."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gnnscale.store.adjacency import ALWAYS, Adjacency
from gnnscale.store.features import NodeFeatures

if TYPE_CHECKING:
    from gnnscale.store.arrivals import ArrivalStore, view_for
    from gnnscale.store.code_lists import CodeLists
    from gnnscale.store.graph_store import GraphStore

_HOMES = {
    "ArrivalStore": "arrivals",
    "CodeLists": "code_lists",
    "GraphStore": "graph_store",
    "view_for": "arrivals",
}

__all__ = ["ALWAYS", "Adjacency", "ArrivalStore", "CodeLists", "GraphStore", "NodeFeatures", "view_for"]


def __getattr__(name: str) -> Any:
    # A host that only samples needs neither the lake's packages nor Arrow.
    if name not in _HOMES:
        raise AttributeError(f"module 'gnnscale.store' has no attribute '{name}'")
    return getattr(import_module(f"gnnscale.store.{_HOMES[name]}"), name)
