"""The configuration of a verb that reads answers: of a recipe, or of a question that a lake has answered."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gnnscale.config import Settings
    from gnnscale.lake import Lake

HELP = "name of a recipe, path to a YAML file, or path of a lake that has answered a question"


def read_settings(options: argparse.Namespace) -> Settings:
    """The configuration of a recipe, with run mode and overrides.

    Raises:
        ConfigError: there is no such recipe, or it is at fault.
    """
    from gnnscale.config import load_settings

    return load_settings(options.recipe, options.overrides, options.conf, options.mode)


def read_settings_or_lake(options: argparse.Namespace) -> Settings:
    """The configuration of a recipe; or, where a lake is given in its place, what a question's model was trained with.

    ``query.name`` says which question, where the lake has answered several. Where answers are published to, and other
    things that are outside the lake, are no part of what it keeps: overrides say so.

    Raises:
        GnnscaleError: there is no such recipe, or the lake has answered no such question.
    """
    from gnnscale.config import literal_settings
    from gnnscale.pipeline import trained_queries, trained_record
    from gnnscale.schema import ConfigError, LakeError

    lake = _find_lake(options)
    if lake is None:
        return read_settings(options)
    if options.mode or options.conf:
        raise ConfigError(f"--mode and --conf are for recipes; the lake {lake.uri} keeps what it was asked with")
    known, named = trained_queries(lake), [word for word in options.overrides if word.startswith("query.name=")]
    name = named[-1].partition("=")[2] if named else known[0] if len(known) == 1 else ""
    if name not in known:
        which = f"no answer to '{name}'" if named else f"{len(known)} answers" if known else "no answer"
        raise LakeError(f"lake {lake.uri} holds {which}; query.name= says which is meant. Known: {', '.join(known)}")
    words = [word for word in options.overrides if word not in named]
    for word in words:
        if word.startswith(("lake.uri", "query")):
            raise ConfigError(f"{word}: the lake is given, and query.name says which of its questions is meant")
    content = {**trained_record(lake, name), "lake": {"uri": options.recipe}}
    return literal_settings(content, words, f"the answer to '{name}' in {lake.uri}")


def _find_lake(options: argparse.Namespace) -> Lake | None:
    """The lake that is given in the place of a recipe; None where a recipe is."""
    from gnnscale.config import recipe_names
    from gnnscale.lake import Lake
    from gnnscale.schema import MANIFEST_NAME, LakeError

    given = options.recipe
    if given in recipe_names(options.conf) or ("://" not in given and not Path(given).is_dir()):
        return None
    start = "lake.storage_options."
    opened = dict(word.removeprefix(start).split("=", 1) for word in options.overrides if word.startswith(start))
    lake = Lake(given, opened)
    if lake.read_record(MANIFEST_NAME) is None:
        raise LakeError(f"{lake.uri} holds no graph: it is no lake that a question was asked of, nor a recipe")
    return lake
