"""``gnnscale run`` of a recipe of interactions: the table of all methods."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def run_interaction_recipe(options: argparse.Namespace) -> int:
    """Run the recipe of the command line."""
    from gnnscale.config import load_interaction_settings
    from gnnscale.pipeline import run_interactions
    from gnnscale.schema import ConfigError
    from gnnscale.tracking import configure_logging

    if options.mode is not None:
        raise ConfigError("recipes of interactions have no run modes; set tune=false or methods=[...] for less")
    settings = load_interaction_settings(options.recipe, options.overrides, options.conf)
    predictions = f"{settings.lake.uri}/predictions_{settings.name}"
    if options.dry_run:
        console = Console()
        for line in (f"compares recommenders on {settings.source}", f"writes {predictions}"):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        return 0
    configure_logging(options.verbose)
    record = run_interactions(settings).record
    print_methods(record, Console(), settings.name)
    newcomers = f"{settings.lake.uri}/newcomers_{settings.name}"
    for line in (f"predictions  {predictions}", f"of new users {newcomers}"):
        Console().print(line, soft_wrap=True, highlight=False, markup=False)
    return 0


def print_methods(record: Mapping[str, Any], console: Console, name: str) -> None:
    """Print the figures of every method, the best first."""
    wide = console if console.is_terminal else Console(width=120, file=console.file)
    title = (
        f"{name}: {record['users']:,} users, {record['items']:,} items, {record['interactions']:,} interactions; "
        f"split {record['split']}, {record['held_out']:,} held out of {record['evaluated']:,} users"
    )
    table = Table(title=title, title_justify="left")
    table.add_column("method")
    for metric in record["metrics"]:
        table.add_column(metric, justify="right")
    for head in ("in the mix", "seconds"):
        table.add_column(head, justify="right")
    table.add_column("settings")
    for row in record["rows"]:
        many = record["seeds"] > 1 and any(row["deviation"].values())
        cells = [
            f"{row['test'][metric]:.4f}" + (f" ±{row['deviation'][metric]:.4f}" if many else "")
            for metric in record["metrics"]
        ]
        own = row["method"] == record["answer"]
        share = "" if row["method"] == "mix" else f"{row['weight']:.2f}" if row["weight"] else "-"
        settings = ", ".join(f"{k}={v}" for k, v in row["options"].items()) if row["method"] != "mix" else ""
        table.add_row(row["method"], *cells, share, f"{row['seconds']:.1f}", settings, style="bold" if own else "")
    wide.print(table)
    if cost := record.get("exploration"):
        name = record["metrics"][0]
        given = f"{cost.get(name, 0):.4f} -> {cost.get('explored_' + name, 0):.4f}"
        console.print(f"{cost['share']:.0%} of the places go to items at random: {name} {given}", highlight=False)
    console.print(f"the answer is {record['answer']}: the best on validation", highlight=False)
