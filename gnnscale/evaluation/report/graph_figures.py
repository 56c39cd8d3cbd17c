"""Figures of a graph, as reports show them."""

from __future__ import annotations

from gnnscale.evaluation.report.figures import EdgeFigure, RelationFigure, TableFigure
from gnnscale.query import show_time
from gnnscale.schema import GraphManifest


def table_figures(manifest: GraphManifest) -> list[TableFigure]:
    """Every table: rows, features, first and last time, and what is odd about its rows."""
    return [
        TableFigure(
            t.name,
            t.rows - t.deleted,
            len(t.features),
            (show_time(t.time_range[0]), show_time(t.time_range[1])) if t.time_range else None,
            t.duplicates,
            t.isolated,
            t.out_of_range,
        )
        for t in manifest.tables
    ]


def edge_figures(manifest: GraphManifest) -> list[EdgeFigure]:
    """Every link: edges, matches in both directions and degrees."""
    return [
        EdgeFigure(
            k.link.name,
            k.table,
            k.parent,
            k.edges,
            k.match_rate,
            k.mean_degree,
            k.max_degree,
            k.dangling,
            k.parent_match_rate,
            k.nulls,
            (k.degree_quantiles["50"], k.degree_quantiles["90"], k.degree_quantiles["99"])
            if k.degree_quantiles
            else None,
        )
        for k in manifest.links
    ]


def relation_figures(manifest: GraphManifest) -> list[RelationFigure]:
    """Every relation: edges, degrees, weights and what was left out."""
    return [
        RelationFigure(
            r.link.name,
            r.kind,
            r.source,
            r.target,
            r.edges,
            r.edges / max(1, manifest.table(r.source).rows),
            r.max_degree,
            r.max_weight,
            r.cut + r.unweighted,
        )
        for r in manifest.relations
    ]
