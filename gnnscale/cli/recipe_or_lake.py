"""The configuration of a verb: of a recipe, or of a question that a lake has answered."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gnnscale.config import Settings

HELP = "name of a recipe, path to a YAML file, or a lake whose question was answered before"


def read_settings(options: argparse.Namespace) -> Settings:
    """The configuration.

    Where a lake is given in the place of a recipe, it is what the question's model was trained with; ``query.name``
    says which, where there are several.

    Raises:
        GnnscaleError: there is no such recipe, or the lake has answered no such question.
    """
    from gnnscale.config import literal_settings, load_settings
    from gnnscale.lake import Lake
    from gnnscale.pipeline import trained_queries, trained_record
    from gnnscale.schema import MANIFEST_NAME, LakeError

    if "://" not in options.recipe and not Path(options.recipe).is_dir():
        return load_settings(options.recipe, options.overrides, options.conf, options.mode)
    lake = Lake(options.recipe)
    if lake.read_record(MANIFEST_NAME) is None:
        raise LakeError(f"{lake.uri} holds no graph: it is no lake that a question was asked of, nor a recipe")
    known, named = trained_queries(lake), [word for word in options.overrides if word.startswith("query.name=")]
    name = named[-1].partition("=")[2] if named else known[0] if len(known) == 1 else ""
    if name not in known:
        which = f"no answer to '{name}'" if named else f"{len(known)} answers" if known else "no answer"
        raise LakeError(f"lake {lake.uri} holds {which}; query.name= says which is meant. Known: {', '.join(known)}")
    words = [word for word in options.overrides if word not in named]
    content = {**trained_record(lake, name), "lake": {"uri": options.recipe}}
    return literal_settings(content, words, options.mode, f"the answer to '{name}' in {lake.uri}")
