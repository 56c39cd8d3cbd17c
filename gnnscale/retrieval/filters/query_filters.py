"""The filters of the configuration, read from the lake."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from gnnscale.arrays import Ragged
from gnnscale.config import Settings
from gnnscale.inference import read_keys
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery
from gnnscale.retrieval.filters.allow_lists import OwnCategory
from gnnscale.retrieval.filters.diversity import Diversity
from gnnscale.retrieval.filters.filter import Filter
from gnnscale.retrieval.filters.filter_rule import FilterRule, read_filter
from gnnscale.retrieval.filters.history import History, read_history
from gnnscale.retrieval.filters.own_category import read_categories
from gnnscale.retrieval.filters.target_conditions import TargetCondition
from gnnscale.schema import ConfigError, Table
from gnnscale.store import GraphStore


def valid_filter(lake: Lake, query: PredictiveQuery, anchor: int) -> Filter:
    """Targets that are there at an anchor (epoch seconds), for every entity but itself."""
    mask = valid_nodes(lake, query.target, known_by(query, anchor))
    if not query.ranks_own_table:
        return Filter(mask)
    itself = np.arange(len(mask))
    return Filter(mask, Ragged.from_pairs(itself, itself, len(mask)))


def _denying(found: Filter, targets: Ragged) -> Filter:
    """A filter that denies further targets, row by row."""
    return replace(found, denied=targets if found.denied is None else found.denied.union(targets))


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
    found = valid_filter(lake, query, anchor)
    asked = query.new_only or (new_only and settings.retrieval.filters.bought == "auto")
    if not asked or store is None:
        return found
    return _denying(found, read_history(store, query, anchor).past)


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
    new_only |= query.new_only
    category, bought = wanted.category, not new_only if wanted.bought == "auto" else wanted.bought
    rule = FilterRule(
        bought,
        tuple(TargetCondition(c.column, c.operator, c.value, c.table) for c in wanted.conditions),
        category.own if category and category.entity else "any",
        category.entity if category else None,
        category.target if category else None,
        wanted.allow,
        wanted.deny,
    )
    usual = category is not None and category.entity is None
    history = (
        None if store is None or (bought and not usual and not wanted.demand) else read_history(store, query, anchor)
    )
    if history is None and (usual or wanted.demand):
        raise ConfigError(
            "retrieval.filters.demand and category go by what was had, which is not known without the graph"
        )
    past = history.past if history is not None and not bought else None
    valid = valid_filter(lake, query, anchor)
    found = read_filter(lake, query, rule, valid.mask, past)
    if valid.denied is not None:
        found = _denying(found, valid.denied)
    if history is not None and wanted.demand is not None:
        found = replace(found, mask=found.mask & (history.totals >= wanted.demand))
    if history is not None and category is not None and usual:
        (codes,) = read_categories(lake, [(query.target.name, category.target)])
        own = OwnCategory(usual_categories(history, codes), codes, only=category.own == "only")
        found = replace(found, category=own)
    if not found.mask.any():
        raise ConfigError(f"the filters of retrieval let none of {len(found.mask):,} {query.target.name} through")
    return found


def usual_categories(history: History, codes: NDArray[np.int32]) -> NDArray[np.int32]:
    """The category that most events of each entity named, int32 ``[entities]``; -1 of who has none, ties to the least.

    Args:
        history: events up to an anchor.
        codes: of each target's category, -1 for none, ``[targets]``.
    """
    own = codes[history.item].astype(np.int64)
    count = max(1, int(codes.max(initial=-1)) + 1)
    keys, events = np.unique(history.entity[own >= 0] * count + own[own >= 0], return_counts=True)
    entity, code = keys // count, keys % count
    order = np.lexsort((-code, events))
    found = np.full(history.n_entities, -1, np.int32)
    # The last that is written of an entity stays: that of most events, of equal ones the least code.
    found[entity[order]] = code[order]
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
