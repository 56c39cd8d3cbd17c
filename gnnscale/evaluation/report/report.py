"""The report of a run: one self-contained HTML page, to read, to print and to keep beside the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gnnscale.evaluation.baselines.link_baselines import BASELINES, Among
from gnnscale.evaluation.comparison import AMONG, BOUNDED_METRICS, Comparison
from gnnscale.evaluation.report.charts import Bar, bar_chart, line_chart
from gnnscale.evaluation.report.page import page_environment
from gnnscale.metrics import Difference, Interval

MODEL: Final = "model"
"""Name under which the trained model takes part in a comparison."""

METHOD_TITLES: Final = {
    MODEL: "Model",
    "tower": "Two-tower only",
    "popularity": "Popularity",
    "personal_frequency": "Personal frequency",
    "recency_weighted_frequency": "Recency-weighted frequency",
}

METRIC_TITLES: Final = {
    "map@10": "MAP@10",
    "recall@10": "Recall@10",
    "recall@20": "Recall@20",
    "ndcg@10": "NDCG@10",
    "hit_rate@10": "Hit rate@10",
    "mrr@10": "MRR@10",
    "coverage@10": "Coverage@10",
}

AMONG_TITLES: Final[dict[Among, tuple[str, str]]] = {
    "all": ("All", "everything that came true"),
    "repeat": ("Repeat", "only what the entity had before the anchor"),
    "explore": ("Explore", "only what is new to the entity"),
}

HEADLINES: Final[tuple[tuple[str, Among], ...]] = (
    ("map@10", "all"),
    ("recall@20", "all"),
    ("recall@10", "repeat"),
    ("recall@10", "explore"),
)


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


@dataclass(frozen=True)
class EntityExample:
    """One entity: what it had, and what was recommended to it.

    Args:
        key: of the entity.
        attributes: what is known of it, name to value.
        history: (item, times had, when last as ISO text), in the order to show.
        recommendations: (rank, item, score, whether it had it before, whether it came true).
    """

    key: str
    attributes: Mapping[str, object]
    history: Sequence[tuple[str, int, str]]
    recommendations: Sequence[tuple[int, str, float, bool, bool]]


@dataclass(frozen=True)
class Report:
    """Everything that the page shows.

    Args:
        title: of the page.
        query_text: the predictive query.
        created: when, as ISO text.
        comparison: methods side by side.
        summary: facts such as anchors, run id, versions and durations, name to text.
        tables: of the graph.
        edges: of the graph's links.
        relations: of the graph.
        curves: such as training loss and validation MAP@10.
        examples: a few entities.
        stages: (name, seconds, detail) in the order run.
    """

    title: str
    query_text: str
    created: str
    comparison: Comparison
    summary: Mapping[str, str] = field(default_factory=dict)
    tables: Sequence[TableFigure] = ()
    edges: Sequence[EdgeFigure] = ()
    relations: Sequence[RelationFigure] = ()
    curves: Sequence[Curve] = ()
    examples: Sequence[EntityExample] = ()
    stages: Sequence[tuple[str, float, str]] = ()


@dataclass(frozen=True)
class Headline:
    """A figure of the model at the top of the page; ``difference`` is None where there is no baseline."""

    title: str
    part: str
    value: float
    interval: Interval
    opponent: str
    difference: Difference | None
    higher_is_better: bool = True

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or, where the interval holds zero, ``level``."""
        if self.difference is None or not self.difference.interval.excludes_zero:
            return "level"
        return "better" if (self.difference.mean > 0) == self.higher_is_better else "worse"


def render_report(report: Report) -> str:
    """The report as one HTML page that needs no other file, script or request.

    Args:
        report: what to show; its lists may be empty.

    Returns:
        The page. All text of the report is escaped.
    """
    comparison = report.comparison
    total = sum(seconds for _, seconds, _ in report.stages)
    return (
        page_environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            headlines=headlines(comparison),
            groups=[_group(comparison, among) for among in AMONG] if comparison.results else [],
            metric_titles=METRIC_TITLES,
            bounded=BOUNDED_METRICS,
            reference=method_title(comparison.reference),
            level=f"{comparison.level * 100:g} %",
            curves=[(c.name, line_chart(c.name, c.x_label, c.points)) for c in report.curves],
            total_seconds=total,
        )
    )


def method_title(name: str) -> str:
    """How a method is called on the page."""
    return METHOD_TITLES.get(name, name.replace("_", " ").capitalize())


def headlines(comparison: Comparison) -> list[Headline]:
    """The model's main figures, each against the baseline that does best in it; empty without a model."""
    if MODEL not in comparison.methods:
        return []
    rivals = [name for name in comparison.methods if name in BASELINES]
    found = []
    for metric, among in HEADLINES:
        result = comparison.result(MODEL, among)
        if not result.metrics.n_evaluated:
            continue
        means = {name: comparison.result(name, among).metrics.means[metric] for name in rivals}
        best = max(means, key=means.__getitem__, default="")
        found.append(
            Headline(
                title=METRIC_TITLES[metric],
                part=AMONG_TITLES[among][1],
                value=result.metrics.means[metric],
                interval=result.intervals[metric],
                opponent=method_title(best),
                difference=comparison.difference(MODEL, best, metric, among) if best else None,
            )
        )
    return found


def _group(comparison: Comparison, among: Among) -> dict[str, Any]:
    """One part of the comparison table, and its chart."""
    title, meaning = AMONG_TITLES[among]
    results = [comparison.result(name, among) for name in comparison.methods]
    evaluated = results[0].metrics.n_evaluated
    bars = [
        Bar(
            label=method_title(result.method),
            value=result.metrics.means["map@10"],
            low=result.intervals["map@10"].low,
            high=result.intervals["map@10"].high,
            main=result.method == MODEL,
        )
        for result in results
    ]
    return {
        "title": title,
        "meaning": meaning,
        "entities": evaluated,
        "best": {name: max(result.metrics.means[name] for result in results) for name in METRIC_TITLES},
        "results": [(method_title(result.method), result) for result in results],
        "chart": bar_chart(f"MAP@10, {title}", bars if evaluated else []),
    }
