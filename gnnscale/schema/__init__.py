"""Tables, links, the graph they make, and the errors a person can act on."""

from gnnscale.schema.errors import ConfigError, DataError, GnnscaleError, LakeError, QueryError, SchemaError
from gnnscale.schema.graph import Graph
from gnnscale.schema.manifest import FeatureManifest, GraphManifest, LinkManifest, RelationManifest, TableManifest
from gnnscale.schema.table import ColumnType, EdgeType, Link, Table, ValueKind

__all__ = [
    "ColumnType",
    "ConfigError",
    "DataError",
    "EdgeType",
    "FeatureManifest",
    "GnnscaleError",
    "Graph",
    "GraphManifest",
    "LakeError",
    "Link",
    "LinkManifest",
    "QueryError",
    "RelationManifest",
    "SchemaError",
    "Table",
    "TableManifest",
    "ValueKind",
]
