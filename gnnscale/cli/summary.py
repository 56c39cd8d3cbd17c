"""What a run ends with on the terminal: the table of methods, and where things are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from gnnscale.evaluation import MODEL, method_title, number_format
from gnnscale.pipeline import EVALUATION, PipelineContext, report_path
from gnnscale.query import find_task

SHOWN: Final = 5
"""Metrics that are shown, the headline first."""

WIDEST: Final = 10_000
"""Characters that no line of ours has."""

SHORT: Final = 10
"""Characters of a reference's title that fit the head of a column."""

WORDS: Final = {
    "beats": "[green]better[/]",
    "loses": "[red]worse[/]",
    "ties": "level",
    "undefined": "undefined",
}
"""What a method is against the reference."""


def print_summary(work: PipelineContext, console: Console) -> None:
    """Print the comparison that the evaluate stage left, and where table and report are."""
    query = work.settings.query.name
    record = work.lake.read_record(EVALUATION.format(query=query))
    if record is None:
        return
    print_comparison(record, console, f"{query}: {record['examples']:,} examples of the test")
    if blend := record.get("blend"):
        console.print(f"made of      {blend}", soft_wrap=True, highlight=False)
    lake = work.lake.uri
    console.print(f"predictions  {lake}/predictions_{query}", soft_wrap=True, highlight=False)
    console.print(f"report       {lake}/{report_path(query)}", soft_wrap=True, highlight=False)


def print_comparison(record: Mapping[str, Any], console: Console, title: str) -> None:
    """Print a comparison of methods.

    Args:
        record: what :meth:`gnnscale.evaluation.comparison.Comparison.to_dict` gave.
        console: where to.
        title: stands above the table.
    """
    # A pipe has no width of its own, and takes the table as wide as it is.
    wide = console if console.is_terminal else Console(width=WIDEST, file=console.file)
    table, whole = comparison_table(record, title), wide.options.update(max_width=WIDEST)
    while len(table.columns) > 3 and wide.measure(table, options=whole).maximum > wide.width:
        # Fewer figures, between method and verdict, rather than pieces of all.
        table = comparison_table(record, title, len(table.columns) - 3)
    wide.print(table)
    reference = method_title(record["reference"], find_task(record["task"]))
    better = f"better, worse or level (no clear difference) than {reference}, by {record['metrics'][0]['title']}"
    console.print(better, soft_wrap=True, highlight=False)


def comparison_table(record: Mapping[str, Any], title: str, most: int | None = None) -> Table:
    """The methods of a comparison, their first metrics, and whether they are better than the reference.

    Args:
        record: what :meth:`gnnscale.evaluation.comparison.Comparison.to_dict` gave.
        title: stands above the table.
        most: columns of figures; default: all.
    """
    task, metrics = find_task(record["task"]), record["metrics"]
    number, headline = _decimals if task.predicts_links else number_format(task), record["headline"]
    rows = {(row["method"], row["among"]): row for row in record["rows"]}
    methods, parts = (list(dict.fromkeys(key[column] for key in rows)) for column in (0, 1))
    shown = [(metric, "all") for metric in metrics[:SHOWN]]
    # What is new and what is not have lists of their own; one metric tells how good they are.
    shown += [(metrics[:2][-1], part) for part in parts[1:]]
    shown = shown[:most]
    reference = method_title(record["reference"], task)
    table = Table(title=title, title_justify="left")
    table.add_column("method")
    arrows = any(not metric["higher_is_better"] for metric, _ in shown)
    for metric, part in shown:
        arrow = (" ↑" if metric["higher_is_better"] else " ↓") if arrows else ""
        table.add_column(f"{'' if part == 'all' else part + ' '}{metric['title']}{arrow}", justify="right")
    table.add_column(f"than {reference}" if len(reference) <= SHORT else "than reference")
    for method in methods:
        cells = [
            _cell(rows[method, part], m["name"], number, (m["name"], part) == (headline, "all")) for m, part in shown
        ]
        verdict = rows[method, "all"].get(f"{headline}_verdict") or ""
        style = "bold" if method == MODEL else ""
        table.add_row(method_title(method, task), *cells, WORDS.get(verdict, ""), style=style)
    return table


def _cell(row: Mapping[str, Any], metric: str, number: Callable[[float], str], with_range: bool) -> str:
    value, low, high = row.get(metric), row.get(f"{metric}_low"), row.get(f"{metric}_high")
    if value is None:
        return "-"
    spread = f" ±{number((high - low) / 2)}" if with_range and low is not None and high is not None else ""
    return f"{number(value)}{spread}"


def _decimals(value: float) -> str:
    return f"{value:.4f}"
