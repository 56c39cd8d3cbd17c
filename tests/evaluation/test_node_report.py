"""The report of an entity task renders for every task, needs nothing else and says what was found."""

from __future__ import annotations

import re

import numpy as np
import pytest
from markupsafe import Markup

from gnnscale.evaluation import Comparison
from gnnscale.evaluation.report.answer_charts.chart import answer_charts, like_scored
from gnnscale.evaluation.report.charts import Trace, plane_chart
from gnnscale.evaluation.report.figures import Curve, EdgeFigure, TableFigure
from gnnscale.evaluation.report.formatting import UNSEEN, label_rate, task_example
from gnnscale.evaluation.report.node_report import LabelFigure, NodeReport
from gnnscale.evaluation.report.page import MISSING, figure
from gnnscale.evaluation.report.report import headlines, render_report
from gnnscale.evaluation.score_comparison import MethodScores, compare_scores
from gnnscale.metrics.task_evaluation import task_metrics
from gnnscale.query import TaskSpec
from tests.evaluation.test_link_report import NASTY, Outline, headings
from tests.evaluation.test_score_comparison import CLASSES, NODE_TASKS, examples

SECTIONS = [
    "Headline figures",
    "Comparison of methods",
    "What the answers look like",
    "Labels",
    "Learning curves",
    "Data and graph",
    "Examples",
    "Stages",
    "How the numbers are defined",
]
NAMES = [NASTY, *(f"class {c}" for c in range(CLASSES - 1))]
BINARY, REGRESSION, FORECASTING, MULTICLASS, MULTILABEL = NODE_TASKS


def report(task: TaskSpec) -> NodeReport:
    scores, values = examples(task)
    names = ("model", "own_past", "boosted_trees", "odd_one")
    methods = [MethodScores(name, examples(task, seed)[0]) for seed, name in enumerate(names)]
    return NodeReport(
        title=f"Churn {NASTY}",
        query_text="PREDICT COUNT(t.*, 0, 7) > 1 FOR EACH a.id",
        created="2017-12-26",
        comparison=compare_scores(task, methods, values, resamples=20),
        summary={NASTY: NASTY},
        explanation=f"population {NASTY}",
        labels=[LabelFigure("train", NASTY, 1234, label_rate(task, values, NAMES))],
        charts=answer_charts(task, scores, values, NAMES),
        tables=[TableFigure("b", 5, 1)],
        edges=[EdgeFigure("buys", NASTY, "products", 1_234_567, 0.99979, 12.34, 987, 4321)],
        curves=[Curve("Loss", "epoch", [(1, 2.0), (2, 1.0)])],
        examples=[task_example(task, NASTY, scores[0], values[0], values[0] * np.nan, NAMES, {NASTY: NASTY})],
        stages=[("train", 75.0, NASTY)],
    )


@pytest.mark.parametrize("task", NODE_TASKS)
def test_every_task_renders(task):
    page = render_report(report(task))
    outline = Outline(page)
    assert headings(page) == SECTIONS
    assert outline.open == [] and outline.loads == []
    assert outline.seen.isdisjoint({"script", "link", "iframe", "object", "embed", "img"})
    assert not re.search(r"https?:|//|url\(|@import", page)
    assert "<img" not in page and page.count("&lt;img src=x") >= 8
    assert "nan" not in re.sub(r"<[^>]*>", " ", page).lower().split()
    assert len(re.findall("<svg", page)) == 1 + 2 + 1  # the methods, two of the task, one curve


def test_the_table_holds_values_intervals_and_verdicts():
    whole = report(REGRESSION)
    page = render_report(whole)
    rows = re.findall(r'<tr[^>]*>\n<th scope="row".*?</tr>', page, re.S)
    assert [re.findall(r'class="text">(.*?)</th>', row)[0] for row in rows] == [
        "Model",
        "Own past",
        "Boosted trees",
        "Odd one",
    ]
    result = whole.comparison.result("own_past")
    for metric in whole.comparison.metrics:
        interval = result.intervals[metric.name]
        assert figure(result.metrics[metric.name]) in rows[1]
        assert f"{figure(interval.low)} to {figure(interval.high)}" in rows[1]
    better = {"beats": "Own past is better", "loses": "Model is better", "ties": "no clear difference"}
    assert f">{better[whole.comparison.verdict('own_past')]}</small>" in rows[1]
    assert "better" not in rows[0] and "difference" not in rows[0]


def test_headlines_of_an_error_are_better_below():
    values = np.random.default_rng(0).normal(size=(200, 1))
    methods = [MethodScores(name, values + size) for name, size in (("model", 1), ("near", 2), ("far", 3))]
    whole = compare_scores(REGRESSION, methods, values, resamples=50)
    cards = [(metric.name, "all") for metric in whole.metrics]
    found = headlines(whole, cards)
    assert [(line.title, line.opponent, line.verdict) for line in found] == [
        ("MAE", "Near", "better"),
        ("RMSE", "Near", "better"),
        ("R²", "Near", "better"),
    ]
    assert {line.verdict for line in headlines(whole, cards, subject="far")} == {"worse"}


def test_examples_say_what_was_last_time_where_any_does():
    empty = Comparison(BINARY, "model", (), task_metrics(BINARY, 0))
    told, untold = (task_example(BINARY, "k", [0.2], [1], [past]) for past in (1, np.nan))
    for shown_ones, shown in (((told, untold), True), ((untold,), False), ((), False)):
        page = render_report(NodeReport("t", "q", "c", empty, examples=shown_ones))
        assert ("Last time" in page) == shown


@pytest.mark.parametrize("task", NODE_TASKS)
def test_no_methods_and_no_examples_render(task):
    nothing = NodeReport("t", "q", "c", Comparison(task, "model", (), task_metrics(task, 3)))
    page = render_report(nothing)
    assert headings(page) == SECTIONS and Outline(page).open == []
    width = 1 if task in (BINARY, REGRESSION) else 3
    scores, values = np.zeros((0, width)), np.zeros((0, 1 if task is MULTICLASS else width))
    empty = compare_scores(task, [MethodScores(name, scores) for name in ("model", "own_past")], values, resamples=5)
    page = render_report(NodeReport("t", "q", "c", empty, charts=answer_charts(task, scores, values)))
    assert Outline(page).open == [] and "undefined" in page
    assert "nan" not in re.sub(r"<[^>]*>", " ", page).lower().split()


def dots(chart: Markup) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r'class="dot[^"]*" cx="([\d.]+)" cy="([\d.]+)"', chart)]


def test_calibrated_scores_lie_on_the_diagonal():
    score = np.repeat([0.2, 0.4, 0.8], 100)[:, None]
    true = np.concatenate([np.arange(100) % 5 < share for share in (1, 2, 4)])[:, None].astype(float)
    chart = answer_charts(BINARY, score, true)[0].chart
    ends = re.findall(r'class="diagonal" points="([\d.]+),([\d.]+) ([\d.]+),([\d.]+)"', chart)[0]
    x0, y0, x1, y1 = map(float, ends)
    assert len(dots(chart)) == 10
    clean = [dots(chart)[place] for place in (0, 5, 9)]  # groups of one score alone
    for (x, y), score_of in zip(clean, (0.2, 0.4, 0.8), strict=True):
        assert (x - x0) / (x1 - x0) == pytest.approx(score_of / 0.8, abs=0.01)
        assert (y - y0) / (y1 - y0) == pytest.approx(score_of / 0.8, abs=0.06)


def test_groups_are_even_and_in_order_of_scores():
    score = np.random.default_rng(0).normal(size=25)
    groups = like_scored(score)
    assert sorted(len(rows) for rows in groups) == [2] * 5 + [3] * 5
    assert (np.diff(score[np.concatenate(groups)]) >= 0).all()
    assert [len(rows) for rows in like_scored(score[:3])] == [1, 1, 1]


def test_classes_are_shown_by_how_often_they_came_true():
    called = np.eye(20)[np.arange(60) % 20]
    true = called.copy()
    true[:, 3] = 1
    recall, f1 = (str(chart.chart) for chart in answer_charts(MULTILABEL, called, true))
    assert re.findall(r'class="label"[^>]*>(class \d+) · (\d+)', recall)[:2] == [("class 4", "60"), ("class 1", "3")]
    assert re.findall(r'class="value"[^>]*>([\d.]+)', recall)[:2] == ["0.050", "1.000"]
    assert re.findall(r'class="value"[^>]*>([\d.]+)', f1)[:2] == [f"{2 * 3 / 63:.3f}", "1.000"]
    assert recall.count('class="label"') == 15


def test_values_in_words():
    assert label_rate(BINARY, [[1], [0], [0]]) == "33.3 % true"
    assert label_rate(REGRESSION, [[0], [0], [6]]) == "mean 2.000, median 0.000, 66.7 % zero"
    rate = label_rate(MULTICLASS, [[1], [1], [0], [-1]], ["a", "b"])
    assert rate == f"2 classes; most often b, 50.0 %, 25.0 % {UNSEEN}"
    assert label_rate(MULTILABEL, [[1, 0], [1, 1]], ["a", "b"]) == "1.500 classes each; most often a, 100 %"
    one = task_example(MULTICLASS, "k", [0.2, 0.5, 0.3], [1], [-1], ["a", "b", "c"])
    assert (one.predicted, one.truth, one.past, one.right) == ("b 50.0 %, c 30.0 %, a 20.0 %", "b", UNSEEN, True)
    two = task_example(BINARY, "k", [0.2], [1], [np.nan])
    assert (two.predicted, two.truth, two.past, two.right) == ("20.0 %", "true", MISSING, False)
    many = task_example(MULTILABEL, "k", np.linspace(1, 0, 12), np.ones(12), np.zeros(12), [])
    assert many.truth.endswith("class 10 and 2 more") and many.past == "none" and many.right is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.000"),
        (-0.12345, "\N{MINUS SIGN}0.123"),
        (12.345, "12.35"),
        (123.456, "123.5"),
        (12345.6, "12,346"),
        (0.00012, "0.00012"),
        (-1e-9, "0.000"),
    ],
)
def test_figures_keep_about_four_digits(value, text):
    assert figure(value) == text


def test_planes_without_points_say_so():
    assert "No values were recorded." in plane_chart("t", "x", "y", [Trace([(np.nan, 1.0)])])
