"""Edges that are derived from rows, one file for each kind."""

from gnnscale.etl.relations.build import relation_edges, write_relations

__all__ = ["relation_edges", "write_relations"]
