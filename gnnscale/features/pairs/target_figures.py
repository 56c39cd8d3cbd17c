"""What is known of every target at an anchor: how often it is named, and how it is named again."""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gnnscale.features.relation_names import DAY
from gnnscale.store import ALWAYS, Adjacency

POPULARITY: Final = (7, 28, 90)
"""Days that events of a target are counted over."""

POPULARITY_HALF_LIVES: Final = (14, 60)
"""Days after which an event of a target counts half."""

TARGET_FIGURES: Final = (
    *(f"target_count({days}d)" for days in POPULARITY),
    *(f"target_count(half {days}d)" for days in POPULARITY_HALF_LIVES),
    "target_trend",
    "target_days_since_last",
    "target_days_since_first",
    "target_entities",
    "target_rebuy_rate",
    "target_rebuys_per_entity",
    "target_gap_mean",
    "target_gap_deviation",
)
"""Events of a target lately; entities that have had it, the share of them that had it on another day, too, how often,
and the days between."""

GAP_MEAN: Final = TARGET_FIGURES.index("target_gap_mean")

_NAMED = len(POPULARITY) + len(POPULARITY_HALF_LIVES) + 3
_LIMITS = tuple(days * DAY for days in POPULARITY)
_RATES = tuple(1.0 / (days * DAY) for days in POPULARITY_HALF_LIVES)


def target_figures(named: Adjacency, events: Adjacency, item_of: NDArray[np.int32], anchor: int) -> NDArray[np.float32]:
    """Figures of all targets at an anchor, float32 ``[targets, figures]`` as :data:`TARGET_FIGURES`.

    Args:
        named: from a target to the events that name it.
        events: from an entity to its events.
        item_of: target of each event, int32 ``[events]``; -1 for none.
        anchor: seconds after the graph's origin.
    """
    targets = len(named.indptr) - 1
    found = np.full((targets, len(TARGET_FIGURES)), np.nan, np.float32)
    _popularity(named.indptr, named.times, anchor, found)
    holders, again, repeats, gaps, squares = (np.zeros(targets) for _ in range(5))
    _rebuys(events.indptr, events.neighbors, events.times, item_of, anchor, holders, again, repeats, gaps, squares)
    at = _NAMED
    found[:, at] = holders
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = gaps / repeats
        found[:, at + 1] = again / holders
        found[:, at + 2] = repeats / holders
        found[:, at + 3] = mean
        found[:, at + 4] = np.sqrt(np.maximum(squares / repeats - mean * mean, 0))
    return found


@njit(nogil=True, cache=True)
def _popularity(indptr, stamps, anchor, found):  # type: ignore[no-untyped-def]
    counts, decayed = np.zeros(len(_LIMITS)), np.zeros(len(_RATES))
    for target in range(len(indptr) - 1):
        counts[:], decayed[:] = 0, 0
        last = first = np.nan
        for place in range(indptr[target], indptr[target + 1]):
            if stamps[place] > anchor:
                break
            if stamps[place] == ALWAYS:
                continue
            age = anchor - np.int64(stamps[place])
            for w in range(len(_LIMITS)):
                counts[w] += age < _LIMITS[w]
            for h in range(len(_RATES)):
                decayed[h] += np.exp2(-age * _RATES[h])
            if np.isnan(first):
                first = age / DAY
            last = age / DAY
        for w in range(len(_LIMITS)):
            found[target, w] = counts[w]
        for h in range(len(_RATES)):
            found[target, len(_LIMITS) + h] = decayed[h]
        at = len(_LIMITS) + len(_RATES)
        found[target, at] = counts[0] / counts[1] if counts[1] else np.nan
        found[target, at + 1] = last
        found[target, at + 2] = first


@njit(nogil=True, cache=True)
def _rebuys(indptr, neighbors, stamps, item_of, anchor, holders, again, repeats, gaps, squares):  # type: ignore[no-untyped-def]
    who = np.full(len(holders), -1, np.int64)
    day_before, times = np.zeros(len(holders), np.int64), np.zeros(len(holders), np.int64)
    for entity in range(len(indptr) - 1):
        for place in range(indptr[entity], indptr[entity + 1]):
            if stamps[place] > anchor:
                break
            item = item_of[neighbors[place]]
            if item < 0:
                continue
            day = (anchor - np.int64(stamps[place])) // DAY
            if who[item] != entity:
                who[item], times[item] = entity, 1
                holders[item] += 1
            elif day != day_before[item] and stamps[place] != ALWAYS:
                gap = np.float64(day_before[item] - day)
                times[item] += 1
                again[item] += times[item] == 2
                repeats[item] += 1
                gaps[item] += gap
                squares[item] += gap * gap
            day_before[item] = day
