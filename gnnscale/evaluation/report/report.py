"""The report of a run: one self-contained HTML page, to read, to print and to keep beside the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Self

from markupsafe import Markup

from gnnscale.evaluation.comparison import MODEL, Comparison, Part, rivals_of
from gnnscale.evaluation.method_words import PART_TITLES, find_titles, method_title, number_format
from gnnscale.evaluation.report.charts import Bar, bar_chart, line_chart
from gnnscale.evaluation.report.figures import Curve, EdgeFigure, RelationFigure, TableFigure
from gnnscale.evaluation.report.graph_figures import edge_figures, relation_figures, table_figures
from gnnscale.evaluation.report.page import page_environment
from gnnscale.evaluation.report.report_inputs import ReportInputs
from gnnscale.metrics import Difference, Interval

CARDS: Final = 4
"""Metrics that stand at the top."""


@dataclass(frozen=True)
class Report:
    """What the page of any task shows.

    Args:
        title: of the page.
        query_text: the predictive query.
        created: when, as ISO text.
        comparison: methods side by side.
        summary: details such as anchors, run id, versions and durations, name to text.
        tables: of the graph.
        edges: of the graph's links.
        relations: of the graph.
        curves: such as training loss and validation MAP@10.
        stages: (name, seconds, detail) in the order run.

    Attributes:
        template: file that lays the page out.
    """

    template: ClassVar[str]

    title: str
    query_text: str
    created: str
    comparison: Comparison
    summary: Mapping[str, str] = field(default_factory=dict)
    tables: Sequence[TableFigure] = ()
    edges: Sequence[EdgeFigure] = ()
    relations: Sequence[RelationFigure] = ()
    curves: Sequence[Curve] = ()
    stages: Sequence[tuple[str, float, str]] = ()

    @classmethod
    def of(cls, inputs: ReportInputs, comparison: Comparison, summary: Mapping[str, str], **own: Any) -> Self:
        """The page of a run.

        Args:
            inputs: the run.
            comparison: methods side by side.
            summary: details, name to text.
            own: what pages of this kind alone show.
        """
        settings, manifest = inputs.settings, inputs.store.manifest
        return cls(
            title=f"{settings.query.name} on {settings.recipe}",
            query_text=inputs.query.text,
            created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            comparison=comparison,
            summary=summary,
            tables=table_figures(manifest),
            edges=edge_figures(manifest),
            relations=relation_figures(manifest),
            curves=inputs.curves,
            stages=inputs.stages,
            **own,
        )

    def cards(self) -> list[tuple[str, Part]]:
        """Metrics, and the parts of the truth, that stand at the top."""
        return [(metric.name, "all") for metric in self.comparison.metrics[:CARDS]]


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
    titles = find_titles(comparison.task)
    return (
        page_environment(number_format(comparison.task))
        .get_template(report.template)
        .render(
            report=report,
            comparison=comparison,
            headlines=headlines(comparison, report.cards()),
            groups=[_group(comparison, part) for part in comparison.parts],
            meanings=[titles[name] for name in comparison.methods if name in titles],
            reference=method_title(comparison.reference, comparison.task),
            level=f"{comparison.level * 100:g} %",
            curves=[(c.name, line_chart(c.name, c.x_label, c.points)) for c in report.curves],
            total_seconds=sum(seconds for _, seconds, _ in report.stages),
        )
    )


def headlines(comparison: Comparison, cards: Sequence[tuple[str, Part]], subject: str = MODEL) -> list[Headline]:
    """A method's main figures, each against the baseline that does best in it; empty without the method.

    Args:
        comparison: with the method.
        cards: metric and part of the truth of each figure; those that the comparison lacks are left out.
        subject: the method.
    """
    if subject not in comparison.methods:
        return []
    rivals = rivals_of(comparison.methods, subject)
    known = {metric.name: metric for metric in comparison.metrics}
    found = []
    for name, part in cards:
        if name not in known or part not in comparison.parts:
            continue
        own, metric = comparison.result(subject, part), known[name]
        if not own.evaluated and len(comparison.parts) > 1:
            continue
        best = comparison.best(name, rivals, part)
        words = "higher is better" if metric.higher_is_better else "lower is better"
        found.append(
            Headline(
                title=metric.title,
                part=PART_TITLES[part][1] if len(comparison.parts) > 1 else words,
                value=own.metrics[name],
                interval=own.intervals[name],
                opponent=method_title(best, comparison.task) if best else "",
                difference=comparison.difference(subject, best, name, part) if best else None,
                higher_is_better=metric.higher_is_better,
            )
        )
    return found


def _group(comparison: Comparison, part: Part) -> dict[str, Any]:
    """One part of the comparison table, and its chart."""
    title, meaning = PART_TITLES[part]
    results = [comparison.result(name, part) for name in comparison.methods]
    return {
        "part": part,
        "title": title,
        "meaning": meaning,
        "entities": results[0].evaluated,
        "best": {metric.name: comparison.best(metric.name, among=part) for metric in comparison.metrics},
        "results": [(method_title(result.method, comparison.task), result) for result in results],
        "better": {
            name: method_title(winner, comparison.task)
            for name in comparison.methods
            if (winner := comparison.better(name, among=part))
        },
        "chart": _chart(comparison, part),
    }


def _chart(comparison: Comparison, part: Part) -> Markup:
    metric, bars = comparison.headline, []
    for name in comparison.methods:
        result = comparison.result(name, part)
        value, interval = result.metrics[metric.name], result.intervals[metric.name]
        if value == value:  # NaN has no length
            title = method_title(name, comparison.task)
            bars.append(Bar(title, value, interval.low, interval.high, name == MODEL))
    return bar_chart(f"{metric.title} of each method, {PART_TITLES[part][0]}", bars)
