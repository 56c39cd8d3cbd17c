"""A tally of events, from the latest back: what counts, days, decay and gaps are, once for all features."""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from gnnscale.features.relation_names import DAY, HALF_LIVES, WINDOWS
from gnnscale.store import ALWAYS

LIMITS: Final = tuple(days * DAY for days in WINDOWS)
"""Seconds."""

RATES: Final = tuple(1.0 / (days * DAY) for days in HALF_LIVES)

W: Final = len(WINDOWS) + 1
"""Windows, and all of the past."""

H: Final = len(HALF_LIVES)

COUNTS: Final = 0
DAYS: Final = COUNTS + W
DECAYED: Final = DAYS + W
DECAYED_DAYS: Final = DECAYED + H
LAST: Final = DECAYED_DAYS + H
FIRST: Final = LAST + 1
GAPS: Final = FIRST + 1
GAP_SUM: Final = GAPS + 1
GAP_SQUARES: Final = GAP_SUM + 1
LAST_GAP: Final = GAP_SQUARES + 1
DAY_BEFORE: Final = LAST_GAP + 1
VISITS_AT_LAST: Final = DAY_BEFORE + 1
VISITS_AT_FIRST: Final = VISITS_AT_LAST + 1
DISTINCT: Final = VISITS_AT_FIRST + 1
WIDTH: Final = DISTINCT + 1
"""Places in a tally, float64: events and distinct days by window (each in the shortest that holds it, until the tally
is closed), the same decayed by half-life, ages of the last and the first event in days, gaps between distinct days,
days with any event of the entity since the last and the first, and distinct targets."""


@njit(nogil=True, cache=True)
def start_tally(tally):  # type: ignore[no-untyped-def]
    """Make a tally empty."""
    tally[:] = 0
    tally[LAST] = tally[FIRST] = tally[LAST_GAP] = np.nan
    tally[DAY_BEFORE] = -1


@njit(nogil=True, cache=True)
def weigh(stamp, anchor, weights):  # type: ignore[no-untyped-def]
    """Age of an event in seconds, the shortest window that holds it, and ``weights`` by half-life.

    Args:
        stamp: seconds after the graph's origin; of what is ``ALWAYS`` the age is -1, and it weighs nothing.
        anchor: likewise.
        weights: float64 ``[half-lives]``, filled.
    """
    if stamp == ALWAYS:
        weights[:] = 0
        return np.int64(-1), len(LIMITS)
    age, reach = anchor - np.int64(stamp), len(LIMITS)
    while reach > 0 and age < LIMITS[reach - 1]:
        reach -= 1
    for h in range(H):
        weights[h] = np.exp2(-age * RATES[h])
    return age, reach


@njit(nogil=True, cache=True)
def add_event(tally, age, reach, weights, visits):  # type: ignore[no-untyped-def]
    """Count an event; they come from the latest back.

    Args:
        tally: float64 ``[WIDTH]`` or longer.
        age, reach, weights: as of :func:`weigh`.
        visits: distinct days with events of the entity from the anchor back to this one.

    Returns:
        Whether it is the first of its day.
    """
    tally[COUNTS + reach] += 1
    if age < 0:
        return False
    days, day = age / DAY, np.float64(age // DAY)
    fresh = day != tally[DAY_BEFORE]
    for h in range(H):
        tally[DECAYED + h] += weights[h]
    if np.isnan(tally[LAST]):
        tally[LAST], tally[VISITS_AT_LAST] = days, visits
    tally[FIRST], tally[VISITS_AT_FIRST] = days, visits
    if fresh:
        tally[DAYS + reach] += 1
        for h in range(H):
            tally[DECAYED_DAYS + h] += weights[h]
        if tally[DAY_BEFORE] >= 0:
            gap = day - tally[DAY_BEFORE]
            if tally[GAPS] == 0:
                tally[LAST_GAP] = gap
            tally[GAPS] += 1
            tally[GAP_SUM] += gap
            tally[GAP_SQUARES] += gap * gap
        tally[DAY_BEFORE] = day
    return fresh


@njit(nogil=True, cache=True)
def close_tally(tally):  # type: ignore[no-untyped-def]
    """From what is in each window alone to all that it holds."""
    for w in range(W - 1):
        tally[COUNTS + w + 1] += tally[COUNTS + w]
        tally[DAYS + w + 1] += tally[DAYS + w]


@njit(nogil=True, cache=True)
def over(value, base):  # type: ignore[no-untyped-def]
    """A ratio; NaN where there is nothing to divide by."""
    return value / base if base > 0 else np.nan


@njit(nogil=True, cache=True)
def gap_mean(tally):  # type: ignore[no-untyped-def]
    """Mean days between distinct days; NaN where there is one at most."""
    return over(tally[GAP_SUM], tally[GAPS])


@njit(nogil=True, cache=True)
def gap_deviation(tally):  # type: ignore[no-untyped-def]
    """Standard deviation of the days between distinct days."""
    mean = gap_mean(tally)
    return np.sqrt(max(0.0, tally[GAP_SQUARES] / tally[GAPS] - mean * mean)) if tally[GAPS] > 0 else np.nan


@njit(nogil=True, cache=True)
def known_events(stamps, low, high, anchor):  # type: ignore[no-untyped-def]
    """End of the events stamped at or before the anchor, of those from ``low`` to ``high - 1``, oldest first."""
    while low < high:
        middle = (low + high) >> 1
        if stamps[middle] <= anchor:
            low = middle + 1
        else:
            high = middle
    return low
