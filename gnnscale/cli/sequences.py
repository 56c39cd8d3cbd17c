"""``gnnscale run sequences``: the leave-last-out protocol, and its figures as a table."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table


def run_sequence_recipe(options: argparse.Namespace) -> int:
    """Train on a file of interactions, and print where the last item of each user is ranked."""
    from gnnscale.config import load_sequence_settings
    from gnnscale.evaluation import run_leave_last_out
    from gnnscale.schema import ConfigError
    from gnnscale.tracking import configure_logging

    if options.mode is not None:
        raise ConfigError("recipes of sequences have no run modes; set training.epochs for less")
    settings = load_sequence_settings(options.recipe, options.overrides, options.conf)
    if options.dry_run:
        print(
            f"trains on {settings.source} and ranks the last item of each user\nkeeps its state in {settings.lake.uri}"
        )
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
