"""The table that a task ends with on the terminal."""

from __future__ import annotations

import io

import numpy as np
from rich.console import Console

from gnnscale.cli.summary import comparison_table, print_comparison
from gnnscale.evaluation.score_comparison import MethodScores, compare_scores
from gnnscale.query import BINARY_CLASSIFICATION, REGRESSION, TaskSpec


def printed(task: TaskSpec, values: np.ndarray, **scores: np.ndarray) -> list[str]:
    methods = [MethodScores(name, figures) for name, figures in scores.items()]
    record = compare_scores(task, methods, values, resamples=50).to_dict()
    console = Console(file=io.StringIO(), width=40)
    print_comparison(record, console, "spend: 300 examples")
    return console.file.getvalue().splitlines()


def test_methods_stand_beside_their_metrics_and_verdicts():
    values = np.random.default_rng(0).normal(100, 10, (300, 1))
    lines = printed(REGRESSION, values, model=values + 1, own_past=values - 20, odd=values + 1)
    assert lines[0].strip() == "spend: 300 examples"
    assert "MAE ↓" in lines[2] and "R² ↑" in lines[2] and "than Model" in lines[2] and "than Model, by MAE" in lines[-1]
    cells = [[cell.strip() for cell in line.strip("│ ").split("│")] for line in lines[4:7]]
    assert [row[0] for row in cells] == ["Model", "Own past", "Odd"]
    assert [row[1].split()[0] for row in cells] == ["1.000", "20.00", "1.000"]
    assert [row[4:] for row in cells[1:]] == [["worse"], ["level"]]


def test_what_is_undefined_is_a_dash():
    lines = printed(BINARY_CLASSIFICATION, np.zeros((4, 1)), model=np.ones((4, 1)), base_rate=np.ones((4, 1)))
    assert [cell.strip() for cell in lines[5].strip("│ ").split("│")][1:4] == ["-", "-", "0.000"]
    assert "undefined" in lines[5]


def test_links_of_one_metric_are_shown_by_it_for_every_part_of_the_targets():
    metric = {"name": "ndcg@5", "title": "NDCG@5", "higher_is_better": True}
    rows = [{"method": "model", "among": part, "ndcg@5": value} for part, value in (("all", 0.5), ("new", 0.25))]
    record = {"task": "temporal link prediction", "reference": "model", "headline": "ndcg@5"}
    table = comparison_table({**record, "metrics": [metric], "rows": rows}, "one metric")
    assert [column.header for column in table.columns[1:3]] == ["NDCG@5", "new NDCG@5"]
    assert [list(column.cells) for column in table.columns[1:3]] == [["0.5000"], ["0.2500"]]


def test_a_narrow_terminal_gets_fewer_figures_and_none_in_pieces():
    values = np.random.default_rng(0).normal(100, 10, (300, 1))
    methods = [MethodScores(name, values + by) for name, by in (("model", 1), ("own_past", 20))]
    record = compare_scores(REGRESSION, methods, values, resamples=50).to_dict()
    heads = {}
    for width in (40, 200):
        console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
        print_comparison(record, console, "spend")
        lines = console.file.getvalue().splitlines()
        assert "…" not in "".join(lines) and max(map(len, lines[:7])) <= width
        heads[width] = [cell.strip() for cell in lines[2].strip("┃ ").split("┃")]
    assert heads[40] == ["method", "MAE ↓", "than Model"]
    assert set(heads[40]) < set(heads[200])
