"""``gnnscale runs``: the MLflow runs of a lake, and two of them side by side."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from gnnscale.tracking import RunRow

DESCRIPTION = "List the MLflow runs of a lake, or compare two: settings and table versions that differ, and metrics."


def add_runs_verb(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The verb and what it can be asked."""
    verb = verbs.add_parser("runs", help="list MLflow runs, or compare two", description=DESCRIPTION)
    asked = verb.add_subparsers(dest="asked", required=True, metavar="COMMAND")
    listed = asked.add_parser("list", help="runs, the newest first", description="List runs, the newest first.")
    compared = asked.add_parser("compare", help="two runs side by side", description="Print two runs side by side.")
    for name in ("first", "second"):
        compared.add_argument(name, metavar="RUN", help="id of a run, or its first six characters or more")
    compared.add_argument(
        "--all", action="store_true", help="also settings that are the same, and metrics that one run has alone"
    )
    for place, handle in ((listed, _list), (compared, _compare)):
        place.add_argument("--lake", help="folder whose runs are meant")
        place.add_argument("--tracking", metavar="URI", help="MLflow store, where that is not in the lake")
        place.set_defaults(handle=handle, overrides=[])


def comparison_table(rows: list[RunRow]) -> Table:
    """Two runs as a table for the terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head, side in (("", "left"), ("", "left"), ("first", "right"), ("second", "right"), ("difference", "right")):
        table.add_column(head, justify=side, overflow="fold")  # type: ignore[arg-type]
    kind = None
    for row in rows:
        difference = "" if row.difference is None else f"{row.difference:+.4g}"
        head = row.kind if row.kind != kind else ""
        table.add_row(head, row.name, _shown(row.first), _shown(row.second), difference)
        kind = row.kind
    return table


def _list(options: argparse.Namespace) -> int:
    from gnnscale.tracking import list_runs, run_store

    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("run", "name", "status", "started (UTC)"):
        table.add_column(head, no_wrap=True)
    for run in list_runs(run_store(options.lake, options.tracking)):
        started = datetime.fromtimestamp(run.info.start_time / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(run.info.run_id, run.info.run_name, run.info.status, started)
    _wide().print(table)
    return 0


def _compare(options: argparse.Namespace) -> int:
    from gnnscale.tracking import compare_runs, run_store

    store = run_store(options.lake, options.tracking)
    _wide().print(comparison_table(compare_runs(store, options.first, options.second, options.all)))
    return 0


def _wide() -> Console:
    """A pipe has no width of its own; the tables need some hundred columns."""
    console = Console()
    return console if console.is_terminal else Console(width=120)


def _shown(value: Any) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
