"""The filters of the configuration, read from the lake."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from gnnscale.config import Settings
from gnnscale.inference import read_keys
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery
from gnnscale.retrieval.filters.diversity import Diversity
from gnnscale.retrieval.filters.filter import Filter
from gnnscale.retrieval.filters.filter_rule import FilterRule, read_filter
from gnnscale.retrieval.filters.history import read_history
from gnnscale.retrieval.filters.own_category import read_categories
from gnnscale.retrieval.filters.target_conditions import TargetCondition
from gnnscale.schema import ConfigError, Table
from gnnscale.store import GraphStore


def valid_filter(lake: Lake, query: PredictiveQuery, anchor: int) -> Filter:
    """Targets that are there at an anchor (epoch seconds), for every entity."""
    return Filter(valid_nodes(lake, query.target, known_by(query, anchor)))


def holdout_filter(
    settings: Settings, lake: Lake, query: PredictiveQuery, anchor: int, store: GraphStore | None, new_only: bool
) -> Filter:
    """Targets that the model is judged on: all that are there at the anchor, or those new to the entity.

    Args:
        settings: ``retrieval.filters.bought`` counts, which says more than ``new_only``.
        lake: holds nodes and ids.
        query: bound query.
        anchor: epoch seconds.
        store: of the graph; needed to know what was bought.
        new_only: whether what an entity had before is left out.
    """
    mask = valid_filter(lake, query, anchor).mask
    if not new_only or settings.retrieval.filters.bought != "auto" or store is None:
        return Filter(mask)
    return Filter(mask, read_history(store, query, anchor).past)


def settings_filter(
    settings: Settings,
    lake: Lake,
    query: PredictiveQuery,
    anchor: int,
    store: GraphStore | None,
    new_only: bool = False,
) -> Filter:
    """What section ``retrieval.filters`` lets through, of the targets that are there at an anchor.

    Args:
        settings: section ``retrieval`` counts.
        lake: holds nodes, ids and lists.
        query: bound query.
        anchor: epoch seconds.
        store: of the graph; needed to know what was bought.
        new_only: whether what an entity had before is left out where ``retrieval.filters.bought`` is ``auto``.

    Raises:
        LakeError: a table is missing.
        DataError: a column is missing or of another type, or no key of a list is known.
        ConfigError: nothing can be given to anyone, or what was bought is not known.
    """
    wanted = settings.retrieval.filters
    category, bought = wanted.category, not new_only if wanted.bought == "auto" else wanted.bought
    rule = FilterRule(
        bought,
        tuple(TargetCondition(c.column, c.operator, c.value, c.table) for c in wanted.conditions),
        category.own if category else "any",
        category.entity if category else None,
        category.target if category else None,
        wanted.allow,
        wanted.deny,
    )
    past = read_history(store, query, anchor).past if not bought and store is not None else None
    found = read_filter(lake, query, rule, valid_filter(lake, query, anchor).mask, past)
    if not found.mask.any():
        raise ConfigError(f"the filters of retrieval let none of {len(found.mask):,} {query.target.name} through")
    return found


def read_diversity(settings: Settings, lake: Lake, query: PredictiveQuery) -> Diversity | None:
    """The cap of section ``retrieval.diversity``; None where there is none."""
    rule = settings.retrieval.diversity
    if rule is None:
        return None
    return Diversity(read_categories(lake, [(query.target.name, rule.column)])[0], rule.cap)


def known_by(query: PredictiveQuery, anchor: int) -> int | None:
    """Time by which a node must be there: the anchor, or none where events without times have a pseudo-time."""
    return anchor if query.pseudo_timed_tables is None else None


def valid_nodes(lake: Lake, table: Table, anchor: int | None) -> NDArray[np.bool_]:
    """Which nodes of a table are there at an anchor, bool ``[nodes]``; at any, where there is none.

    A node whose key the table has no longer has no row, and is never there.
    """
    ends = ["end_time"] if table.end_time else []
    rows = lake.read(f"nodes_{table.name}", ["node_id", "time", *ends])
    there = np.ones(rows.num_rows, bool)
    if anchor is not None:
        there &= pc.fill_null(rows["time"], np.iinfo(np.int64).min).to_numpy() <= anchor
        for name in ends:
            there &= pc.fill_null(rows[name], np.iinfo(np.int64).max).to_numpy() > anchor
    valid = np.zeros(len(read_keys(lake, table.name)), bool)
    valid[rows["node_id"].to_numpy()[there]] = True
    return valid
