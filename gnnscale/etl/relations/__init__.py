"""Edges that are derived from rows, one file for each kind."""

from gnnscale.etl.relations.derive_relations import relation_edges, write_relations

__all__ = ["relation_edges", "write_relations"]
