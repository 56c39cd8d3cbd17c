"""Verbs of the ``gnnscale`` command, and how it ends."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from rich.console import Console

import gnnscale
from gnnscale.cli.dry_run import say_dry_run
from gnnscale.cli.interruption import end_children, interruptible, interruption_behind, tell
from gnnscale.cli.lookup import add_lookup_verb
from gnnscale.cli.query import add_query_verb
from gnnscale.cli.recipe_or_lake import HELP, read_settings, read_settings_or_lake
from gnnscale.cli.runs import add_runs_verb
from gnnscale.pipeline import prepare_environment, stage_help
from gnnscale.schema import GnnscaleError, LostProcessError, mask_text

EXIT_FAULT = 2
"""Exit status for a fault in what the user gave."""

EXIT_LOST = 1
"""Exit status where a process that the work ran in was lost."""


def run_command(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0; 2 where the input is at fault, 1 where a process of Spark's or Ray's was lost, 130 after Ctrl-C and 143 after
        SIGTERM: then one message is on standard error.
    """
    prepare_environment()
    parser = build_parser()
    options, rest = parser.parse_known_args(arguments)
    # argparse gives up on positional arguments that stand behind an option.
    for word in rest:
        if word.startswith("-") or "=" not in word:
            parser.error(f"unrecognized argument: {word}")
    options.overrides = [*options.overrides, *rest]
    try:
        with interruptible(_find_loss):
            return int(options.handle(options))
    except (Exception, KeyboardInterrupt) as error:
        return _end(error)


def _end(error: BaseException) -> int:
    """Tell a person what has ended a command.

    Returns:
        The exit status.

    Raises:
        BaseException: the error, where it is none that a person is told of in a line.
    """
    if interruption := interruption_behind(error):
        tell(interruption.line)
        end_children()
        return interruption.status
    if isinstance(error, LostProcessError):
        tell(f"error: {mask_text(str(error))}")
        end_children()
        return EXIT_LOST
    if isinstance(error, GnnscaleError):
        print(f"error: {mask_text(str(error))}", file=sys.stderr)
        return EXIT_FAULT
    raise error


def _find_loss() -> tuple[str, int] | None:
    from gnnscale.pipeline import find_loss

    loss = find_loss()
    return (f"error: {loss}", EXIT_LOST) if loss else None


OF_LAKES: Final = ("features", "publish")
"""Stages that may be asked of a lake in the place of a recipe: what they need is there once a question was answered."""


def build_parser() -> argparse.ArgumentParser:
    """All verbs and their options."""
    parser = argparse.ArgumentParser(
        prog="gnnscale",
        description="Train and run graph neural networks on lakehouse tables, from one predictive query.",
    )
    parser.add_argument("--version", action="version", version=f"gnnscale {gnnscale.__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="COMMAND")
    run = verbs.add_parser("run", help="run every stage of a recipe", description=RUN_DESCRIPTION)
    _add_options(run, writes=True)
    run.set_defaults(handle=_run)
    add_query_verb(verbs)
    for name, text in stage_help().items():
        if name == "refresh":
            _add_refresh(verbs)
            continue
        verb = verbs.add_parser(name, help=f"run one stage: {text}", description=f"Run one stage: {text}.")
        _add_options(verb, writes=True, lake=name in OF_LAKES)
        verb.set_defaults(handle=_run_stage)
    add_lookup_verb(verbs)
    explain = verbs.add_parser(
        "explain", help="print the meaning of a recipe's query", description="Parse and bind the query; write nothing."
    )
    _add_options(explain, writes=False, lake=True)
    explain.set_defaults(handle=_explain, mode=None)
    add_runs_verb(verbs)
    return parser


RUN_DESCRIPTION = """Run a recipe from raw tables to predictions and a report. Stages whose inputs and configuration
have not changed are skipped."""


REFRESH_DESCRIPTION = """The daily refresh of a ranking: extend the graph by what is new in its sources, embed the
entities that have new events, and publish. A missed day is caught up with; a day that is run twice changes nothing."""


def _add_refresh(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = verbs.add_parser(
        "refresh", help="extend the graph, embed entities with new events, and publish", description=REFRESH_DESCRIPTION
    )
    _add_options(verb, writes=True)
    verb.add_argument(
        "--as-of",
        metavar="DATE",
        help="anchor, such as 2024-02-13; default: midnight at the end of the last day that has events",
    )
    verb.set_defaults(handle=_refresh)


def _add_options(parser: argparse.ArgumentParser, writes: bool, lake: bool = False) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help=HELP if lake else "name of a recipe, or path to a YAML file")
    parser.add_argument(
        "overrides", metavar="key=value", nargs="*", help="configuration overrides, such as training.epochs=2"
    )
    parser.add_argument("--conf", type=Path, help="configuration folder; default: the one that ships with gnnscale")
    parser.add_argument("-v", "--verbose", action="store_true", help="log more details")
    if writes:
        parser.add_argument("--mode", help="fast, normal or best; default: that of the recipe")
        parser.add_argument("--dry-run", action="store_true", help="print which stages would run, without running them")
        parser.add_argument("--force", action="store_true", help="also run stages whose inputs have not changed")


def _run(options: argparse.Namespace) -> int:
    from gnnscale.cli.sequences import run_sequence_recipe
    from gnnscale.cli.show_interactions import run_interaction_recipe
    from gnnscale.config import recipe_kind

    kind = recipe_kind(options.recipe, options.conf)
    if kind == "interactions":
        return run_interaction_recipe(options)
    if kind == "sequences":
        return run_sequence_recipe(options)
    from gnnscale.pipeline import Pipeline, PipelineContext
    from gnnscale.tracking import configure_logging

    work = PipelineContext(read_settings(options), configure_logging(options.verbose), options.force, options.dry_run)
    with Pipeline(work) as pipeline:
        if options.dry_run:
            return say_dry_run(pipeline)
        pipeline.run()
    # What it needs takes seconds to load, and a stage or a dry run none of it.
    from gnnscale.cli.summary import print_summary

    print_summary(work, Console())
    return 0


def _run_stage(options: argparse.Namespace) -> int:
    from gnnscale.pipeline import Pipeline, PipelineContext
    from gnnscale.tracking import configure_logging

    settings = read_settings_or_lake(options) if options.verb in OF_LAKES else read_settings(options)
    work = PipelineContext(settings, configure_logging(options.verbose), options.force, options.dry_run)
    with Pipeline(work, None if options.verb == "graph" else work.query) as pipeline:
        if options.dry_run:
            return say_dry_run(pipeline, [options.verb])
        pipeline.run_one(options.verb)
    if options.verb == "evaluate":
        from gnnscale.cli.summary import print_summary

        print_summary(work, Console())
    return 0


def _refresh(options: argparse.Namespace) -> int:
    from gnnscale.pipeline import REFRESH_ORDER, Pipeline, PipelineContext
    from gnnscale.tracking import configure_logging

    if options.as_of is not None:
        options.overrides = [*options.overrides, f"anchors.latest={options.as_of}"]
    work = PipelineContext(read_settings(options), configure_logging(options.verbose), read_only=options.dry_run)
    with Pipeline(work) as pipeline:
        if options.dry_run:
            return say_dry_run(pipeline, REFRESH_ORDER)
        pipeline.run(REFRESH_ORDER[:1])
        # It is the vectors that are wanted anew, and not a graph that is as it was.
        work.force = options.force
        pipeline.run(REFRESH_ORDER[1:])
    return 0


def _explain(options: argparse.Namespace) -> int:
    from gnnscale.config import plan_query_anchors, with_copies
    from gnnscale.lake import Lake
    from gnnscale.pipeline import check_inputs
    from gnnscale.query import explain
    from gnnscale.schema import MANIFEST_NAME, DataError, GraphManifest, SchemaError

    settings = read_settings_or_lake(options)
    lake = Lake(settings.lake.uri, settings.lake.storage_options)
    query = check_inputs(with_copies(lake, settings))
    record = lake.read_record(MANIFEST_NAME)
    plan = None
    if record is not None and settings.query.examples is None:
        built = GraphManifest.from_dict(record)
        # A recipe may have come further than its graph, and a graph be too short for any window.
        with suppress(DataError, SchemaError, KeyError):
            plan = plan_query_anchors(settings, query, built.time_ranges, built.rows)
    print(query.text)
    print(explain(query, plan))
    return 0
