"""The configuration of one question to a lake that holds a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from gnnscale.config.load import compose_settings
from gnnscale.config.settings import QuerySettings, Settings, query_name
from gnnscale.schema import ConfigError

RECIPE: Final = "recipe"
"""Record of the tables, the graph section and the relations that a lake's graph was built with."""


def recipe_record(settings: Settings) -> dict[str, Any]:
    """What the graph stage keeps of the configuration, for questions that come later."""
    return {
        "recipe": settings.recipe,
        "seed": settings.seed,
        "tables": {name: table.model_dump(mode="json") for name, table in settings.tables.items()},
        "graph": settings.graph.model_dump(mode="json"),
        "relations": {name: relation.model_dump(mode="json") for name, relation in settings.relations.items()},
        "spark": settings.spark.model_dump(mode="json"),
    }


def ask_settings(
    record: Mapping[str, Any],
    lake: str,
    text: str,
    name: str | None = None,
    overrides: Sequence[str] = (),
    mode: str = "normal",
    folder: Path | None = None,
) -> Settings:
    """The configuration that answers a question.

    Args:
        record: of the lake's graph, as :func:`recipe_record` made it.
        lake: the lake's folder or URI.
        text: the query.
        name: that its tables carry; default: made from the text.
        overrides: ``key=value``.
        mode: run mode.
        folder: configuration folder.

    Raises:
        ConfigError: as in :func:`gnnscale.config.load_settings`.
    """
    own = {"lake": {"uri": lake}, "query": {"name": name or query_name(text), "text": text}}
    return compose_settings([record, own], overrides, mode, folder, f"the graph in {lake}")


def check_query_name(name: str) -> str:
    """The name, where the tables of a query can carry it.

    Raises:
        ConfigError: it is none.
    """
    try:
        return QuerySettings(name=name, text="").name
    except ValidationError:
        raise ConfigError(
            f"query name {name!r} is none that tables can carry: lower-case letters, digits and underscores, a letter "
            "first"
        ) from None
