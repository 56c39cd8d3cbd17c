"""What a run ends with on the terminal: the table of methods, and where things are."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from gnnscale.cli.task_summary import print_task_summary
from gnnscale.evaluation import METHOD_TITLES
from gnnscale.pipeline import EVALUATION, PipelineContext, report_path

COLUMNS = (
    ("MAP@10", "all", "map@10"),
    ("Recall@10", "all", "recall@10"),
    ("Recall@20", "all", "recall@20"),
    ("NDCG@10", "all", "ndcg@10"),
    ("Coverage@10", "all", "coverage@10"),
    ("repeat R@10", "repeat", "recall@10"),
    ("explore R@10", "explore", "recall@10"),
)


def print_summary(work: PipelineContext, console: Console) -> None:
    """Print the comparison that the evaluate stage left, and the places of table and report."""
    query = work.settings.query.name
    record = work.lake.read_record(EVALUATION.format(query=query))
    if record is None:
        return
    if "task" in record:
        print_task_summary(record, console, f"{query}: {record['examples']:,} examples at the test anchor")
        _print_places(work, console, query)
        return
    rows = {(row["method"], row["among"]): row for row in record["rows"]}
    methods = list(dict.fromkeys(row["method"] for row in record["rows"]))
    entities = rows[methods[0], "all"]["entities"]
    title = f"{query}: {entities:,} entities with something to find in the test window"
    table = Table(title=title, title_justify="left")
    table.add_column("method")
    for title, _, _ in COLUMNS:
        table.add_column(title, justify="right")
    for method in methods:
        cells = [_cell(rows[method, among], metric) for _, among, metric in COLUMNS]
        table.add_row(METHOD_TITLES.get(method, method), *cells, style="bold" if method == "model" else "")
    # A pipe has no width of its own; the table needs some hundred columns.
    wide = console if console.is_terminal else Console(width=120, file=console.file)
    wide.print(table)
    _print_places(work, wide, query)


def _print_places(work: PipelineContext, console: Console, query: str) -> None:
    lake = work.lake.uri
    console.print(f"predictions  {lake}/predictions_{query}", soft_wrap=True, highlight=False)
    console.print(f"report       {lake}/{report_path(query)}", soft_wrap=True, highlight=False)


def _cell(row: dict[str, Any], metric: str) -> str:
    value, low, high = row.get(metric), row.get(f"{metric}_low"), row.get(f"{metric}_high")
    if value is None:
        return "-"
    spread = f" ±{(high - low) / 2:.3f}" if metric == "map@10" and low is not None and high is not None else ""
    return f"{value:.4f}{spread}"
