"""Figures of a graph and of a training, as reports show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TableFigure:
    """A table of the graph.

    Args:
        name: of the table.
        rows, columns: their number.
        time_range: first and last time, where rows have times.
        duplicates: rows that repeat another in every column.
        isolated: rows that no edge of a link touches.
        out_of_range: rows with a time outside the range that was asked for. Of each: None where it was not counted.
    """

    name: str
    rows: int
    columns: int
    time_range: tuple[str, str] | None = None
    duplicates: int | None = None
    isolated: int | None = None
    out_of_range: int | None = None


@dataclass(frozen=True)
class EdgeFigure:
    """An edge type.

    Args:
        name: of the edge type.
        source: table it starts from.
        target: table it leads to.
        count: number of edges.
        match_rate: share of the rows with a key that found its row, 0 .. 1.
        mean_degree: edges per row of ``target``.
        max_degree: most edges of a row of ``target``.
        dangling: rows whose key found no row.
        target_match_rate: share of the rows of ``target`` that an edge reaches, 0 .. 1.
        nulls: rows without a key.
        degree_quantiles: 50th, 90th and 99th percentile of the edges of a row of ``target``. Of each: None where it
            was not counted.
    """

    name: str
    source: str
    target: str
    count: int
    match_rate: float
    mean_degree: float
    max_degree: int
    dangling: int
    target_match_rate: float | None = None
    nulls: int | None = None
    degree_quantiles: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class RelationFigure:
    """A relation: edges that are derived from rows.

    Args:
        name: of the relation.
        kind: how its edges are derived.
        source, target: tables whose rows they join.
        count: number of edges.
        mean_degree: edges per row of ``source``.
        max_degree: most edges of a row of ``source``.
        max_weight: largest weight; None where edges have none.
        left_out: events that weigh nothing, and groups of which not all rows count.
    """

    name: str
    kind: str
    source: str
    target: str
    count: int
    mean_degree: float
    max_degree: int
    max_weight: float | None
    left_out: int


@dataclass(frozen=True)
class Curve:
    """A quantity over training: its name, what x counts (``epoch``) and the points (x, y)."""

    name: str
    x_label: str
    points: Sequence[tuple[float, float]]
