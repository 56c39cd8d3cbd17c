"""Features of an entity and each of some targets, from the tally of the entity's events."""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from gnnscale.features.pairs.pair_tally import SUMS, tally_entity
from gnnscale.features.pairs.target_figures import GAP_MEAN
from gnnscale.features.relation_names import HALF_LIVES, PERIODS
from gnnscale.features.tally import (
    COUNTS,
    DAYS,
    DECAYED,
    DISTINCT,
    FIRST,
    LAST,
    LAST_GAP,
    VISITS_AT_FIRST,
    VISITS_AT_LAST,
    H,
    W,
    close_tally,
    gap_deviation,
    gap_mean,
    known_events,
    over,
)

OWN_FIGURES: Final = (
    *(f"count({p})" for p in PERIODS),
    *(f"active_days({p})" for p in PERIODS),
    *(f"count(half {h}d)" for h in HALF_LIVES),
    *(f"active_days(half {h}d)" for h in HALF_LIVES),
    *("days_since_last", "days_since_first", "gap_mean", "gap_deviation", "last_gap", "since_last_over_gap"),
    *("visits_since_last", "days_per_visit", "per_day", "trend(28d)", "trend(90d)"),
    *(f"share_of_entity(half {h}d)" for h in (HALF_LIVES[1], HALF_LIVES[3])),
    "since_last_over_target_gap",
)
"""Of the entity's events that name the target; per visit: day with any event of the entity."""

GROUP_FIGURES: Final = (
    *("count(28d)", "count(90d)", "count(half 30d)", "count(half 90d)", "days_since_last", "gap_mean"),
    *("since_last_over_gap", "distinct", "target_share(half 90d)", "group_share(half 90d)"),
)
"""Of the entity's events of a group of targets: those with the same value in a column."""

ENTITY_FIGURES: Final = (
    *("entity_count(28d)", "entity_count(half 90d)", "entity_days(28d)", "entity_days(90d)", "entity_days(all)"),
    *("entity_gap_mean", "entity_gap_deviation", "entity_days_since_last", "entity_since_last_over_gap"),
    *("entity_per_day", "entity_distinct", "entity_repeats"),
)
"""Of all the entity's events."""


@njit(nogil=True, cache=True)
def pair_features(indptr, stamps, items, values, groups, offsets, entity, anchors, wanted, targets, figures, out):  # type: ignore[no-untyped-def]
    """Write the features that :class:`gnnscale.features.PairFeatures` names.

    Args:
        indptr, stamps, items, values: events by entity; see :func:`tally_entity`.
        groups, offsets: of the items; see :func:`tally_entity`.
        entity, anchors: of each example, ``[examples]``; anchors are all one.
        wanted, targets: targets of each example, int64 ``[examples + 1]`` and ``[pairs]``.
        figures: of all targets at the anchor, float32 ``[items, figures]``.
        out: float32 ``[pairs, features]``, filled.
    """
    columns, kinds = values.shape[1], groups.shape[1]
    slot_of = np.full(offsets[kinds], -1, np.int64)
    longest = 0
    for e in range(len(indptr) - 1):
        longest = max(longest, indptr[e + 1] - indptr[e])
    rows = 1 + longest * (kinds + 1)
    tally, owner = np.empty((rows, SUMS + 2 * columns)), np.empty(rows, np.int64)
    for row in range(len(entity)):
        low, anchor = indptr[entity[row]], np.int64(anchors[row])
        high = known_events(stamps, low, indptr[entity[row] + 1], anchor)
        used = tally_entity(low, high, anchor, stamps, items, values, groups, offsets, slot_of, owner, tally)
        for i in range(used):
            close_tally(tally[i])
        for pair in range(wanted[row], wanted[row + 1]):
            item = targets[pair]
            own = slot_of[item]
            at = _write_own(tally, own, columns, figures[item], out[pair])
            for g in range(kinds):
                at = _write_group(tally, own, slot_of[offsets[g] + groups[item, g]], out[pair], at)
            at = _write_entity(tally[0], out[pair], at)
            for f in range(figures.shape[1]):
                out[pair, at + f] = figures[item, f]
        for i in range(1, used):
            slot_of[owner[i]] = -1


@njit(nogil=True, cache=True)
def _write_own(tallies, own, columns, target, out):  # type: ignore[no-untyped-def]
    """Figures of the entity and the target, and where the next begin; zeros and NaN where it had none."""
    width = 2 * W + 2 * H + 14 + 2 * columns
    if own < 0:
        out[: 2 * W + 2 * H] = 0
        out[2 * W + 2 * H : width] = np.nan
        return width
    tally, entity = tallies[own], tallies[0]
    for i in range(2 * W + 2 * H):
        out[i] = tally[i]
    at = 2 * W + 2 * H
    mean = gap_mean(tally)
    out[at], out[at + 1], out[at + 2], out[at + 3] = tally[LAST], tally[FIRST], mean, gap_deviation(tally)
    out[at + 4], out[at + 5] = tally[LAST_GAP], over(tally[LAST], mean)
    out[at + 6] = tally[VISITS_AT_LAST]
    out[at + 7] = over(tally[DAYS + W - 1], tally[VISITS_AT_FIRST])
    out[at + 8] = over(tally[COUNTS + W - 1], tally[DAYS + W - 1])
    out[at + 9] = over(tally[COUNTS + 2], tally[COUNTS + 3])
    out[at + 10] = over(tally[COUNTS + 4], tally[COUNTS + 5])
    out[at + 11] = over(tally[DECAYED + 1], entity[DECAYED + 1])
    out[at + 12] = over(tally[DECAYED + 3], entity[DECAYED + 3])
    out[at + 13] = over(tally[LAST], target[GAP_MEAN])
    at += 14
    for c in range(columns):
        out[at + 2 * c] = over(tally[SUMS + c], tally[COUNTS + W - 1])
        out[at + 2 * c + 1] = tally[SUMS + columns + c]
    return width


@njit(nogil=True, cache=True)
def _write_group(tallies, own, group, out, at):  # type: ignore[no-untyped-def]
    if group < 0:
        out[at : at + 4] = 0
        out[at + 4 : at + 10] = np.nan
        return at + 10
    tally = tallies[group]
    mean = gap_mean(tally)
    out[at], out[at + 1] = tally[COUNTS + 2], tally[COUNTS + 4]
    out[at + 2], out[at + 3] = tally[DECAYED + 1], tally[DECAYED + 3]
    out[at + 4], out[at + 5], out[at + 6] = tally[LAST], mean, over(tally[LAST], mean)
    out[at + 7] = tally[DISTINCT]
    out[at + 8] = over(tallies[own, DECAYED + 3], tally[DECAYED + 3]) if own >= 0 else 0.0
    out[at + 9] = over(tally[DECAYED + 3], tallies[0, DECAYED + 3])
    return at + 10


@njit(nogil=True, cache=True)
def _write_entity(tally, out, at):  # type: ignore[no-untyped-def]
    mean = gap_mean(tally)
    out[at], out[at + 1] = tally[COUNTS + 2], tally[DECAYED + 3]
    out[at + 2], out[at + 3], out[at + 4] = tally[DAYS + 2], tally[DAYS + 4], tally[DAYS + W - 1]
    out[at + 5], out[at + 6] = mean, gap_deviation(tally)
    out[at + 7], out[at + 8] = tally[LAST], over(tally[LAST], mean)
    out[at + 9] = over(tally[COUNTS + W - 1], tally[DAYS + W - 1])
    out[at + 10] = tally[DISTINCT]
    out[at + 11] = 1 - tally[DISTINCT] / tally[COUNTS + W - 1] if tally[COUNTS + W - 1] > 0 else np.nan
    return at + 12
