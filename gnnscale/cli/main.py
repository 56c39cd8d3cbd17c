"""The ``gnnscale`` command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

import gnnscale
from gnnscale.cli.query import add_query_verb
from gnnscale.schema import GnnscaleError

if TYPE_CHECKING:
    from gnnscale.config import Settings
    from gnnscale.pipeline import PipelineContext, Stage

EXIT_FAULT = 2
"""Exit status for a fault in what the user gave."""

STAGE_HELP = {
    "graph": "raw tables to nodes, edges and statistics (Spark)",
    "labels": "facts to labelled examples (Spark)",
    "shards": "examples to sampled subgraphs, for training where the graph does not fit (Spark)",
    "train": "examples to a model (Ray Train)",
    "embed": "model to embeddings, for rankings",
    "index": "embeddings to indexes of the targets; retrieve begins with it where it is not done",
    "retrieve": "embeddings to ranked predictions",
    "predict": "model to values or classes of every entity",
    "evaluate": "holdout against truth and baselines, and the report",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0, or 2 where the input is at fault; then one message is on standard error.
    """
    parser = build_parser()
    options, rest = parser.parse_known_args(arguments)
    # argparse gives up on positional arguments that stand behind an option.
    for word in rest:
        if word.startswith("-") or "=" not in word:
            parser.error(f"unrecognized argument: {word}")
    options.overrides = [*options.overrides, *rest]
    # Ray, MLflow and torch's threads read these when they are imported; what the user has set stands.
    os.environ.setdefault("RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    # How often Ray Train looks at its workers, who wait at their start, at checkpoints and at their end until it does.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
    # How long a thread of torch spins where it waits for the others. By default it is up to a millisecond, in which one
    # that something else has put off a core is not let back: a step takes ten times as long beside any busy process.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "5000")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    try:
        return int(options.handle(options))
    except GnnscaleError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_FAULT
    except KeyboardInterrupt:
        print("interrupted: tables that were committed stay; run again to go on", file=sys.stderr)
        return 130


def build_parser() -> argparse.ArgumentParser:
    """All verbs and their options."""
    parser = argparse.ArgumentParser(
        prog="gnnscale", description="From a question over lakehouse tables to ranked predictions."
    )
    parser.add_argument("--version", action="version", version=f"gnnscale {gnnscale.__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    run = verbs.add_parser("run", help="run every stage of a recipe", description=RUN_DESCRIPTION)
    _add_options(run, writes=True)
    run.set_defaults(handle=_run)
    add_query_verb(verbs)
    for name, text in STAGE_HELP.items():
        verb = verbs.add_parser(name, help=f"one stage: {text}", description=f"Run one stage: {text}.")
        _add_options(verb, writes=True)
        verb.set_defaults(handle=_run_stage)
    explain = verbs.add_parser(
        "explain", help="say what a recipe's query means", description="Parse and bind the query; write nothing."
    )
    _add_options(explain, writes=False)
    explain.set_defaults(handle=_explain, mode=None)
    return parser


RUN_DESCRIPTION = """Run a recipe from raw tables to predictions and a report. Stages whose inputs and configuration
have not changed are skipped."""


def _add_options(parser: argparse.ArgumentParser, writes: bool) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="name of a recipe, or path of a YAML file")
    parser.add_argument("overrides", metavar="key=value", nargs="*", help="configuration, such as training.epochs=2")
    parser.add_argument("--conf", type=Path, help="configuration folder; default: the one that ships with gnnscale")
    parser.add_argument("-v", "--verbose", action="store_true", help="say more")
    if writes:
        parser.add_argument("--mode", help="fast, normal or best; default: as the recipe says")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and change nothing")
        parser.add_argument("--force", action="store_true", help="run stages whose inputs have not changed, too")


def _run(options: argparse.Namespace) -> int:
    from gnnscale.cli.summary import print_summary
    from gnnscale.etl import close_session
    from gnnscale.pipeline import PipelineContext, TrainStage, check_inputs, stages_of
    from gnnscale.tracking import configure_logging

    work = PipelineContext(_settings(options), configure_logging(options.verbose), options.force)
    stages = stages_of(check_inputs(work.settings))
    if options.dry_run:
        return say_dry_run(work, stages)
    for stage in stages:
        if stage is TrainStage:
            # Spark's work is done, and training wants the memory.
            close_session()
        stage(work).run()
    print_summary(work, Console())
    return 0


def _run_stage(options: argparse.Namespace) -> int:
    from gnnscale.cli.summary import print_summary
    from gnnscale.pipeline import PipelineContext, check_inputs, find_stage
    from gnnscale.tracking import configure_logging

    work = PipelineContext(_settings(options), configure_logging(options.verbose), options.force)
    query = check_inputs(work.settings) if options.verb == "graph" else work.query
    chosen = find_stage(query, options.verb)
    if options.dry_run:
        return say_dry_run(work, [chosen])
    chosen(work).run()
    if options.verb == "evaluate":
        print_summary(work, Console())
    return 0


def _explain(options: argparse.Namespace) -> int:
    from gnnscale.pipeline import check_inputs

    query = check_inputs(_settings(options))
    print(query.text)
    print(query.explain())
    return 0


def say_dry_run(work: PipelineContext, stages: Sequence[type[Stage]]) -> int:
    """Print which stages would run and which would be skipped."""
    print(f"lake: {work.lake.uri}")
    changed = False
    for stage in stages:
        current = not changed and stage(work).is_current()
        changed = changed or not current
        print(f"{stage.name:<9} {'would be skipped: nothing has changed' if current else 'would run'}")
    return 0


def _settings(options: argparse.Namespace) -> Settings:
    from gnnscale.config import load_settings

    return load_settings(options.recipe, options.overrides, options.conf, options.mode)


if __name__ == "__main__":
    sys.exit(main())
