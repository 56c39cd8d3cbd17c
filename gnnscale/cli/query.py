"""``gnnscale query``: from a predictive query to predictions."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from gnnscale.cli.dry_run import say_dry_run

if TYPE_CHECKING:
    from gnnscale.config import Settings
    from gnnscale.lake import StageRecord
    from gnnscale.query import PredictiveQuery

log = logging.getLogger(__name__)

NO_ANCHORS = "anchors     follow from the times of the data, which are known once the lake holds a graph"

DESCRIPTION = """Run a predictive query over the tables of a lake: check and explain it, make labelled examples, train,
evaluate against baselines and write predictions_<name>. The lake's graph is used, and brought up to date where its
tables have changed; where there is none, keys, times and links of the lake's tables are inferred from the names of
their columns, and the graph is built first."""


def add_query_verb(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The verb and its options."""
    verb = verbs.add_parser("query", help="run a predictive query over a lake", description=DESCRIPTION)
    verb.add_argument(
        "text", metavar="QUERY", help='such as "PREDICT COUNT(orders.*, 0, 28) = 0 FOR EACH users.user_id"'
    )
    verb.add_argument(
        "overrides",
        metavar="key=value",
        nargs="*",
        help="configuration overrides; a list of values starts a hyperparameter search",
    )
    verb.add_argument("--lake", required=True, help="folder or object-store URI")
    verb.add_argument("--name", help="name of the output tables; default: derived from the query")
    verb.add_argument("--mode", default="normal", help="fast, normal (default) or best")
    verb.add_argument("--conf", type=Path, help="configuration folder; default: the one that ships with gnnscale")
    verb.add_argument("--explain", action="store_true", help="print the meaning of the query, without running it")
    verb.add_argument("-v", "--verbose", action="store_true", help="log more details")
    verb.add_argument("--dry-run", action="store_true", help="print which stages would run, without running them")
    verb.add_argument(
        "--keep-graph", action="store_true", help="take the graph as it is, though rows of its tables have changed"
    )
    verb.add_argument("--force", action="store_true", help="also run stages whose inputs have not changed")
    verb.set_defaults(handle=run_query)


def run_query(options: argparse.Namespace) -> int:
    """Run the query of the command line."""
    from gnnscale.config import changed_sources, count_unknown, graph_overrides
    from gnnscale.inference import named_entities
    from gnnscale.pipeline import Pipeline, PipelineContext, check_model_on_graph
    from gnnscale.query import explain
    from gnnscale.schema import ConfigError
    from gnnscale.tracking import configure_logging

    console = Console()
    settings, record = _settings(options)
    has_graph = record is not None
    if record is not None and (words := graph_overrides(settings, record, options.overrides)):
        if not options.force:
            raise ConfigError(
                f"{' and '.join(words)} would change nothing: the lake's graph was built with another setting. With "
                "--force it is built again"
            )
        has_graph = False
    looks = options.dry_run or options.explain
    work = PipelineContext(settings, configure_logging(options.verbose), options.force, looks)
    changed = changed_sources(settings, work.lake) if has_graph else []
    stale = changed and not options.keep_graph
    with Pipeline(work, work.query if has_graph else None) as pipeline:
        query = pipeline.query
        console.print(query.text, style="bold", highlight=False, markup=False, soft_wrap=True)
        if changed:
            now = "has" if len(changed) == 1 else "have"
            told = f"{', '.join(changed)} {now} changed since the graph was built"
            does = "a run brings it up to date first" if looks else "it is brought up to date"
            does = does if stale else "it is kept as it was"
            console.print(f"{told}: {does}", highlight=False, markup=False, soft_wrap=True)
        if stale and not looks:
            pipeline.run_one("graph")
            query = work.query
        if not has_graph:
            why = "holds no graph" if record is None else "has its graph built again"
            _say_tables(query, console, why)
            if not (options.dry_run or options.explain):
                pipeline.run_one("graph")
                has_graph = True
        plan = work.plan if has_graph else None
        left_out = count_unknown(work.lake, query) if has_graph else None
        if has_graph and looks:
            # A run does so before it labels.
            named_entities(work.lake, query)
            check_model_on_graph(settings, work.manifest, query)
        console.print(explain(query, plan, left_out), highlight=False, markup=False, soft_wrap=True)
        if options.explain:
            if plan is None:
                console.print(NO_ANCHORS, highlight=False, markup=False, soft_wrap=True)
            return 0
        builds = plan is None or (stale and looks)
        names = [stage.name for stage in pipeline.stages if builds or stage.name != "graph"]
        if options.dry_run:
            return say_dry_run(pipeline, names)

        def say(name: str, record: StageRecord) -> None:
            if name == "labels":
                console.print(f"{'labels':<11} {record.detail}", highlight=False, soft_wrap=True)

        pipeline.run(names, say)
    # What the page of results needs takes seconds to load, and an explanation none of it.
    from gnnscale.cli.summary import print_summary

    print_summary(work, console)
    return 0


def _settings(options: argparse.Namespace) -> tuple[Settings, dict[str, Any] | None]:
    """The configuration, and what the lake's graph was built with; None where there is no graph."""
    from gnnscale.config import ask_settings, discover_tables, read_recipe
    from gnnscale.lake import Lake

    lake = Lake(options.lake)
    record = read_recipe(lake)
    found = record or {"recipe": Path(lake.uri).name or "lake", "tables": discover_tables(lake, options.overrides)}
    rest = (options.name, options.overrides, options.mode, options.conf)
    return ask_settings(found, options.lake, options.text, *rest), record


def _say_tables(query: PredictiveQuery, console: Console, why: str) -> None:
    from gnnscale.config import possible_ends

    graph = query.graph
    console.print(f"the lake {why}; its tables are taken as:", highlight=False)
    for name, table in graph.tables.items():
        key = f"key {table.primary_key}" if table.primary_key else "no key"
        time = f", time {table.time_column}" if table.time_column else ", no time"
        console.print(f"  {name}: {key}{time}", highlight=False, markup=False)
        links = {link.column: link.parent for link in graph.links if link.table == name}
        taken = {table.primary_key, table.time_column, table.end_time, *links}
        meanings = [(column, table.use(column)) for column in table.kinds if column not in taken]
        parts = [f"{column} -> {parent}" for column, parent in links.items()]
        parts += [f"{column} {meaning or 'left out'}" for column, meaning in meanings]
        if parts:
            console.print(f"    {', '.join(parts)}", highlight=False, markup=False, soft_wrap=True)
        for column in possible_ends(table):
            if str(query.known_after) == f"{name}.{column}":
                # When an answer is known need not be the end of its row.
                continue
            hint = f"do rows end at {column}? tables.{name}.end_time={column} says so"
            console.print(f"    {hint}", highlight=False, markup=False, soft_wrap=True)
