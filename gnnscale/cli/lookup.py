"""``gnnscale lookup``: what readers of the key-value store see of some keys."""

from __future__ import annotations

import argparse
import json
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from gnnscale.cli.recipe_or_lake import HELP, read_settings_or_lake
from gnnscale.schema import ConfigError

DESCRIPTION = """Read rows back from the key-value store that a recipe publishes to: predictions by default. With
--rerank the given candidates are put in order for one entity, by the vectors of both."""

OVERRIDE = re.compile(r"(query\.name|publish\.\w+|lake\.[\w.]+)=")
"""Words that are overrides, wherever they stand: those that reading answers takes."""

SHOWN = 6
"""Channels of a vector that a person is shown."""


def add_lookup_verb(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The verb and its options."""
    verb = verbs.add_parser("lookup", help="read published predictions and vectors back", description=DESCRIPTION)
    verb.add_argument("recipe", metavar="RECIPE", help=HELP)
    verb.add_argument(
        "overrides", metavar="key=value", nargs="*", help="configuration overrides, such as publish.store"
    )
    verb.add_argument("--key", nargs="+", required=True, help="keys to look up; with --rerank, one entity's")
    verb.add_argument("--table", default="predictions", help="predictions (default), or the table whose vectors it is")
    verb.add_argument("--rerank", nargs="+", metavar="TARGET", help="candidates to put in order for the entity")
    verb.add_argument("--json", action="store_true", help="print one JSON object a key")
    verb.add_argument("--conf", type=Path, help="configuration folder; default: the one that ships with gnnscale")
    verb.set_defaults(handle=run_lookup, mode=None)


def run_lookup(options: argparse.Namespace) -> int:
    """Print what is there; 0 where every key is, else 1."""
    from gnnscale.lake import Lake
    from gnnscale.publish import Store, store_uri

    _take_overrides(options)
    settings = read_settings_or_lake(options)
    query = settings.query.name
    lake = Lake(settings.lake.uri, settings.lake.storage_options)
    with Store.open(store_uri(settings, lake)) as store:
        if options.rerank:
            if settings.model.blend != "off":
                _tell_blend(lake, query)
            return _rerank(store, query, options)
        table = f"{query}/{options.table}"
        rows = store.lookup(table, store.parse_keys(table, options.key))
    for key, row in zip(options.key, rows, strict=True):
        print(json.dumps({"key": key, "row": _plain(row)}) if options.json else f"{key}: {_in_words(row)}")
    return 0 if all(row is not None for row in rows) else 1


def _take_overrides(options: argparse.Namespace) -> None:
    """Take overrides that stand behind keys for what they are, such as ``--key c1 query.name=churn``."""
    for name in ("key", "rerank"):
        words = getattr(options, name) or []
        found = [word for word in words if OVERRIDE.match(word)]
        options.overrides = [*options.overrides, *found]
        if found:
            setattr(options, name, [word for word in words if word not in found])
    if not options.key:
        raise ConfigError("--key names no key")


def _rerank(store: Any, query: str, options: argparse.Namespace) -> int:
    if len(options.key) > 1:
        raise ConfigError(f"--rerank orders candidates for one entity, and {len(options.key)} keys are given")
    entities, targets = store.sides(query)
    (entity,) = store.parse_keys(f"{query}/{entities}", options.key)
    candidates = store.parse_keys(f"{query}/{targets}", options.rerank)
    given = dict(zip(candidates, options.rerank, strict=True))
    ranked = [
        (given[key], None if np.isnan(score) else score) for key, score in store.rerank(query, entity, candidates)
    ]
    if options.json:
        print(json.dumps({"key": options.key[0], "ranked": [{"target": key, "score": score} for key, score in ranked]}))
        return _missing(ranked)
    for rank, (key, score) in enumerate(ranked, 1):
        print(f"{rank:>3}  {key}  {'has no vector' if score is None else f'{score:.4f}'}")
    return _missing(ranked)


def _missing(ranked: list[tuple[str, float | None]]) -> int:
    """The status: 1 where a candidate has no vector."""
    return 1 if any(score is None for _, score in ranked) else 0


def _tell_blend(lake: Any, query: str) -> None:
    """Say so where the query's answers are made of more than the vectors."""
    from gnnscale.training import blend_path

    if not lake.has_file(blend_path(query)):
        return
    from gnnscale.evaluation import read_blend

    blend = read_blend(lake, query)
    if not blend.is_network:
        print(f"by the network alone; the query's answers are made of {blend.in_words()}", file=sys.stderr)


def _plain(row: dict[str, Any] | None) -> dict[str, Any] | None:
    """As JSON holds it."""
    if row is None:
        return None
    plain = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in row.items()}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in plain.items()}


def _in_words(row: dict[str, Any] | None) -> str:
    if row is None:
        return "not there"
    time = row.get("anchor_time")
    late = "" if time is None else f", as of {time:%Y-%m-%d %H:%M}"
    return ", ".join(f"{name} {_value(value)}" for name, value in row.items() if name != "anchor_time") + late


def _value(value: Any) -> str:
    if isinstance(value, np.ndarray):
        some = " ".join(f"{number:.4g}" for number in value[:SHOWN])
        return f"[{some}{' ...' if len(value) > SHOWN else ''}] of {len(value)} channels"
    if isinstance(value, list):
        return " ".join(map(_value, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
