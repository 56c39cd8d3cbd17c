"""Figures of a graph, as reports show them."""

from __future__ import annotations

from gnnscale.evaluation.report import EdgeFigure, TableFigure
from gnnscale.query.anchors import show_time
from gnnscale.schema import GraphManifest


def table_figures(manifest: GraphManifest) -> list[TableFigure]:
    """Every table: rows, features, first and last time."""
    return [
        TableFigure(t.name, t.rows, len(t.features), (show_time(t.time_range[0]), show_time(t.time_range[1])))
        if t.time_range
        else TableFigure(t.name, t.rows, len(t.features))
        for t in manifest.tables
    ]


def edge_figures(manifest: GraphManifest) -> list[EdgeFigure]:
    """Every link: edges, matches and degrees."""
    return [
        EdgeFigure(
            k.link.name, k.table, k.parent, k.edges, k.match_rate, k.edges / max(1, k.parents), k.max_degree, k.dangling
        )
        for k in manifest.links
    ]
