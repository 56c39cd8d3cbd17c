"""gnnscale: a question over lakehouse tables, answered by a graph neural network."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gnnscale.lake import Lake
    from gnnscale.query import PredictiveQuery
    from gnnscale.sampling import NeighborSampler
    from gnnscale.schema import ColumnType, GnnscaleError, Graph, Table
    from gnnscale.store import GraphStore

try:
    __version__ = version("gnnscale")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"

_HOMES = {
    "ColumnType": "schema",
    "GnnscaleError": "schema",
    "Graph": "schema",
    "GraphStore": "store",
    "Lake": "lake",
    "NeighborSampler": "sampling",
    "PredictiveQuery": "query",
    "Table": "schema",
}

__all__ = [
    "ColumnType",
    "GnnscaleError",
    "Graph",
    "GraphStore",
    "Lake",
    "NeighborSampler",
    "PredictiveQuery",
    "Table",
    "__version__",
]


def __getattr__(name: str) -> Any:
    # Spark's Python workers import the package for one module of it; they should not load the rest.
    if name not in _HOMES:
        raise AttributeError(f"module 'gnnscale' has no attribute '{name}'")
    return getattr(import_module(f"gnnscale.{_HOMES[name]}"), name)
