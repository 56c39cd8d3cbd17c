"""Configuration: YAML files composed with overrides, checked into frozen objects."""

from gnnscale.config.ask import ask_settings, recipe_record
from gnnscale.config.binding import bind_query, plan_query_anchors
from gnnscale.config.load import build_graph_schema, build_settings, load_settings, recipe_names
from gnnscale.config.retrieval import IndexSettings
from gnnscale.config.settings import Settings, SparkSettings

__all__ = [
    "IndexSettings",
    "Settings",
    "SparkSettings",
    "ask_settings",
    "bind_query",
    "build_graph_schema",
    "build_settings",
    "load_settings",
    "plan_query_anchors",
    "recipe_names",
    "recipe_record",
]
