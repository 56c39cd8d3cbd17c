"""``gnnscale run sequences``: the leave-last-out protocol, and its figures as a table."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from gnnscale.config import Settings


def run_protocol(settings: Settings, options: argparse.Namespace) -> int:
    """Train on a file of interactions, and print where the last item of each user is ranked."""
    from gnnscale.evaluation import run_leave_last_out
    from gnnscale.tracking import configure_logging

    assert settings.leave_last_out is not None
    if options.dry_run:
        print(f"lake: {settings.lake.uri}\nleave-last-out of {settings.leave_last_out.source} would run")
        return 0
    configure_logging(options.verbose)
    found = run_leave_last_out(settings)
    table = Table(title=f"last item of {found.users:,} users among {found.items:,} items")
    for column in ("metric", "test", "95 % interval", "validation"):
        table.add_column(column, justify="left" if column == "metric" else "right")
    for name, value in found.figures.items():
        chosen = found.validation.get(name)
        interval = found.intervals[name]
        shown = f"{interval.low:.4f} .. {interval.high:.4f}"
        table.add_row(name, f"{value:.4f}", shown, "" if chosen is None else f"{chosen:.4f}")
    console = Console()
    console.print(table)
    console.print(f"{found.epochs} epochs of {found.seconds:.1f} s", highlight=False)
    return 0
