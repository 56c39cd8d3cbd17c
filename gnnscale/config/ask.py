"""The configuration of one question to a lake that holds a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gnnscale.config.load import build_settings, compose_settings, literal
from gnnscale.config.sections.section import check_table_name
from gnnscale.config.sections.settings import Settings, query_name
from gnnscale.lake import Lake, from_portable, to_portable
from gnnscale.schema import ConfigError

RECIPE: Final = "recipe"
"""Record of the tables, the graph section and the relations that a lake's graph was built with."""


RECIPE_KEYS: Final = ("recipe", "seed", "tables", "graph", "relations")
"""All that is taken from that record."""

GRAPH_SECTIONS: Final = ("tables", "graph", "relations")
"""Sections of a configuration that a graph is made of."""


def recipe_record(settings: Settings) -> dict[str, Any]:
    """What the graph stage keeps of the configuration, for questions that come later.

    Places in the lake are named by their paths under its root.
    """
    lake = Lake(settings.lake.uri)
    tables = {name: table.model_dump(mode="json") for name, table in settings.tables.items()}
    return {
        "recipe": settings.recipe,
        "seed": settings.seed,
        "tables": to_portable(lake, tables),
        "graph": settings.graph.model_dump(mode="json"),
        "relations": {name: relation.model_dump(mode="json") for name, relation in settings.relations.items()},
    }


def read_recipe(lake: Lake) -> dict[str, Any] | None:
    """What a lake's graph was built with, or None where it holds none.

    Somebody else may have written it: what is not of the graph, such as Spark's configuration or where runs are
    tracked, is not taken from it.
    """
    record = lake.read_record(RECIPE)
    if record is None:
        return None
    return {key: from_portable(lake, record[key]) for key in RECIPE_KEYS if key in record}


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
        record: of the lake's graph, as :func:`read_recipe` gives it, or other sections; taken literally, without
            interpolation.
        lake: the lake's folder or URI.
        text: the query.
        name: that its tables carry; default: made from the text.
        overrides: ``key=value``.
        mode: run mode.
        folder: configuration folder.

    Raises:
        ConfigError: as in :func:`gnnscale.config.load_settings`.
    """
    own = {"lake": {"uri": lake}, "query": {"name": query_name(text) if name is None else name, "text": text}}
    return compose_settings([literal(record), literal(own)], overrides, mode, folder, f"the graph in {lake}")


def graph_overrides(settings: Settings, record: Mapping[str, Any], overrides: Sequence[str]) -> list[str]:
    """Overrides of what the lake's graph was built with, which change nothing unless it is built again.

    Args:
        settings: with the overrides.
        record: of the lake's graph.
        overrides: ``key=value``.
    """
    made = [word for word in overrides if word.partition("=")[0].partition(".")[0] in GRAPH_SECTIONS]
    built = build_settings({**record, **_nothing_asked(settings)})
    if all(getattr(settings, section) == getattr(built, section) for section in GRAPH_SECTIONS):
        return []
    now, then = settings.model_dump(), built.model_dump()
    # Keys that are written with brackets are not looked up.
    return [word for word in made if _value_at(now, word) != _value_at(then, word)] or made


def _value_at(content: Any, word: str) -> Any:
    """Value of the key of ``key=value`` in a configuration; None where nothing is there."""
    for part in word.partition("=")[0].split("."):
        content = content.get(part) if isinstance(content, dict) else None
    return content


def _nothing_asked(settings: Settings) -> dict[str, Any]:
    """What a record needs beside to be a configuration."""
    return {"lake": {"uri": settings.lake.uri}, "query": {"name": settings.query.name, "text": settings.query.text}}


def check_query_name(name: str) -> str:
    """The name, where the tables of a query can carry it.

    Raises:
        ConfigError: it is none.
    """
    try:
        return check_table_name(name)
    except ValueError as error:
        raise ConfigError(f"query name {error}") from None
