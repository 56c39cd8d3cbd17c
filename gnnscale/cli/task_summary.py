"""What a run of an entity task ends with on the terminal: the table of methods and its headline metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from gnnscale.evaluation import number_format, task_method_title
from gnnscale.query import find_task

SHOWN: Final = 5
"""Metrics that are shown, the headline first."""

STYLES: Final = {"beats": "green", "loses": "red"}


def print_task_summary(record: Mapping[str, Any], console: Console, title: str) -> None:
    """Print the comparison of the methods of an entity task.

    Args:
        record: what :meth:`gnnscale.evaluation.task_comparison.TaskComparison.to_dict` gave.
        console: where to.
        title: stands above the table.
    """
    # A pipe has no width of its own; the table needs some hundred columns.
    wide = console if console.is_terminal else Console(width=120, file=console.file)
    wide.print(task_table(record, title))


def task_table(record: Mapping[str, Any], title: str) -> Table:
    """The methods of a comparison and their headline metrics.

    Args:
        record: what :meth:`gnnscale.evaluation.task_comparison.TaskComparison.to_dict` gave.
        title: stands above the table.
    """
    metrics, reference = record["metrics"][:SHOWN], record["reference"]
    number = number_format(find_task(record["task"]))
    table = Table(title=title, title_justify="left")
    table.add_column("method")
    for metric in metrics:
        table.add_column(f"{metric['title']} {'↑' if metric['higher_is_better'] else '↓'}", justify="right")
    table.add_column(f"{task_method_title(reference)} on {metrics[0]['title']}")
    for row in record["rows"]:
        cells = [_cell(row, metric["name"], number, with_range=metric is metrics[0]) for metric in metrics]
        verdict = row.get(f"{record['headline']}_verdict") or ""
        style = STYLES.get(verdict)
        table.add_row(
            task_method_title(row["method"]),
            *cells,
            f"[{style}]{verdict}[/]" if style else verdict,
            style="bold" if row["method"] == reference else "",
        )
    return table


def _cell(row: Mapping[str, Any], metric: str, number: Callable[[float], str], with_range: bool) -> str:
    value, low, high = row.get(metric), row.get(f"{metric}_low"), row.get(f"{metric}_high")
    if value is None:
        return "-"
    spread = f" ±{number((high - low) / 2)}" if with_range and low is not None and high is not None else ""
    return f"{number(value)}{spread}"
