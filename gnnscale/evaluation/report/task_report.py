"""The report of an entity task: one self-contained HTML page, of the look of the report of ranked lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from markupsafe import Markup

from gnnscale.evaluation.report.charts import Bar, bar_chart, line_chart
from gnnscale.evaluation.report.formatting import TaskExample
from gnnscale.evaluation.report.page import figure, page_environment
from gnnscale.evaluation.report.page import metric as metric_format
from gnnscale.evaluation.report.report import MODEL, Curve, EdgeFigure, Headline, RelationFigure, TableFigure
from gnnscale.evaluation.report.task_charts import TaskChart
from gnnscale.evaluation.task_comparison import TaskComparison
from gnnscale.query import FORECASTING, REGRESSION, TaskSpec

TASK_METHODS: Final = {
    MODEL: ("Model", "The trained graph neural network."),
    "own_past": (
        "Own past",
        "What came true for the entity in the window that ends at the anchor; where that is unknown, the mean or the "
        "shares of the training examples.",
    ),
    "base_rate": ("Base rate", "The share of training examples that came true, for everyone."),
    "global_mean": ("Global mean", "The mean of the training examples, for everyone."),
    "global_median": ("Global median", "The median of the training examples, for everyone."),
    "majority": ("Majority class", "The share of each class in the training examples, for everyone."),
    "popularity": ("Popularity", "The share of training examples that each class came true for, for everyone."),
    "boosted_trees": (
        "Boosted trees",
        "Gradient-boosted trees on counts, sums and recency of events up to the anchor, the entity's columns and "
        "its own past, stopped by the validation examples.",
    ),
}
"""Method to its title and what it does."""

CARDS: Final = 4
"""Metrics that stand at the top."""


@dataclass(frozen=True)
class LabelFigure:
    """The examples of one split: which anchors, how many, and what their values are like."""

    split: str
    anchors: str
    examples: int
    rate: str


@dataclass(frozen=True)
class TaskReport:
    """Everything that the page shows.

    Args:
        title: of the page.
        query_text: the predictive query.
        created: when, as ISO text.
        comparison: methods side by side.
        summary: facts such as anchors, population, run id and versions, name to text.
        explanation: how the query was read, as text in lines; empty for none.
        labels: of the splits.
        charts: of the model's answers.
        tables: of the graph.
        edges: of the graph's links.
        relations: of the graph.
        curves: such as training loss and the headline on the validation examples.
        examples: a few entities.
        stages: (name, seconds, detail) in the order run.
    """

    title: str
    query_text: str
    created: str
    comparison: TaskComparison
    summary: Mapping[str, str] = field(default_factory=dict)
    explanation: str = ""
    labels: Sequence[LabelFigure] = ()
    charts: Sequence[TaskChart] = ()
    tables: Sequence[TableFigure] = ()
    edges: Sequence[EdgeFigure] = ()
    relations: Sequence[RelationFigure] = ()
    curves: Sequence[Curve] = ()
    examples: Sequence[TaskExample] = ()
    stages: Sequence[tuple[str, float, str]] = ()


def render_task_report(report: TaskReport) -> str:
    """The report as one HTML page that needs no other file, script or request.

    Args:
        report: what to show; its lists may be empty.

    Returns:
        The page. All text of the report is escaped.
    """
    comparison = report.comparison
    return (
        page_environment(number_format(comparison.task))
        .get_template("task_report.html.j2")
        .render(
            report=report,
            comparison=comparison,
            headlines=task_headlines(comparison),
            best={metric.name: comparison.best(metric.name) for metric in comparison.metrics},
            methods=[(task_method_title(name), comparison.result(name)) for name in comparison.methods],
            meanings=[TASK_METHODS[name] for name in comparison.methods if name in TASK_METHODS],
            reference=task_method_title(comparison.reference),
            chart=_method_chart(comparison),
            level=f"{comparison.level * 100:g} %",
            curves=[(c.name, line_chart(c.name, c.x_label, c.points)) for c in report.curves],
            total_seconds=sum(seconds for _, seconds, _ in report.stages),
        )
    )


def number_format(task: TaskSpec) -> Callable[[float], str]:
    """How the metrics of a task are written: errors in the unit of the target, all else as shares."""
    return figure if task in (REGRESSION, FORECASTING) else metric_format


def task_method_title(name: str) -> str:
    """How a method is called on pages."""
    return TASK_METHODS[name][0] if name in TASK_METHODS else name.replace("_", " ").capitalize()


def task_headlines(comparison: TaskComparison) -> list[Headline]:
    """The reference's first metrics, each against the baseline that does best in it; empty without a reference."""
    if comparison.reference not in comparison.methods:
        return []
    own = comparison.result(comparison.reference)
    rivals = [name for name in comparison.methods if name != comparison.reference]
    found = []
    for metric in comparison.metrics[:CARDS]:
        best = comparison.best(metric.name, rivals)
        found.append(
            Headline(
                title=metric.title,
                part="higher is better" if metric.higher_is_better else "lower is better",
                value=own.metrics[metric.name],
                interval=own.intervals[metric.name],
                opponent=task_method_title(best) if best else "",
                difference=comparison.result(best).differences[metric.name] if best else None,
                higher_is_better=metric.higher_is_better,
            )
        )
    return found


def _method_chart(comparison: TaskComparison) -> Markup:
    metric = comparison.headline
    bars = []
    for name in comparison.methods:
        result = comparison.result(name)
        value, interval = result.metrics[metric.name], result.intervals[metric.name]
        if value == value:  # NaN has no length
            bars.append(Bar(task_method_title(name), value, interval.low, interval.high, name == comparison.reference))
    return bar_chart(f"{metric.title} of each method", bars)
