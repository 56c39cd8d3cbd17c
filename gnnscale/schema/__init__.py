"""Tables, links, the graph they make, and the errors a person can act on."""

from gnnscale.schema.errors import ConfigError, DataError, GnnscaleError, LakeError, QueryError, SchemaError
from gnnscale.schema.graph import Graph
from gnnscale.schema.manifest import FeatureManifest, GraphManifest, LinkManifest, RelationManifest, TableManifest
from gnnscale.schema.relation import AttributeRelation, EventRelation, Relation, TogetherRelation, relation_links
from gnnscale.schema.table import ColumnType, EdgeType, Link, Table, ValueKind

__all__ = [
    "AttributeRelation",
    "ColumnType",
    "ConfigError",
    "DataError",
    "EdgeType",
    "EventRelation",
    "FeatureManifest",
    "GnnscaleError",
    "Graph",
    "GraphManifest",
    "LakeError",
    "Link",
    "LinkManifest",
    "QueryError",
    "Relation",
    "RelationManifest",
    "SchemaError",
    "Table",
    "TableManifest",
    "TogetherRelation",
    "ValueKind",
    "relation_links",
]
