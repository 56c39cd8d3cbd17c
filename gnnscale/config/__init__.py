"""Configuration: YAML files composed with overrides, checked into frozen objects."""

from gnnscale.config.load import build_graph_schema, build_settings, load_settings, recipe_names
from gnnscale.config.settings import Settings, SparkSettings

__all__ = [
    "Settings",
    "SparkSettings",
    "build_graph_schema",
    "build_settings",
    "load_settings",
    "recipe_names",
]
