"""What an entity's events up to an anchor tell of it, of each target that it has had, and of each group of targets."""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from gnnscale.features.tally import DAY, DISTINCT, WIDTH, H, add_event, start_tally, weigh

SUMS: Final = WIDTH
"""Where the sums of the numerical columns begin in a row, two of each column: all, and decayed by the longest half-life
but one."""


@njit(nogil=True, cache=True)
def tally_entity(low, high, anchor, stamps, items, values, groups, offsets, slot_of, owner, tallies):  # type: ignore[no-untyped-def]
    """Tally the events ``low`` to ``high - 1``, all stamped at or before the anchor.

    Args:
        stamps, items, values: of all events: int32, int64 (-1 for none), float64 ``[events, columns]``.
        groups: codes of each item's groups, int32 ``[items, columns]``.
        offsets: where the groups of each column begin in ``slot_of``, behind the items, int64 ``[columns + 1]``.
        slot_of: scratch, int64 ``[items and groups]``, all -1; those of ``owner`` are written.
        owner: gets the place in ``slot_of`` of each tally, int64.
        tallies: float64 ``[rows, SUMS + 2 * columns]``, filled, the first of the entity itself; rows enough.

    Returns:
        Tallies that were filled.
    """
    weights = np.zeros(H)
    keys = np.empty(groups.shape[1] + 1, np.int64)
    start_tally(tallies[0])
    used, visits, visit_day = 1, 0, np.int64(-1)
    for place in range(high - 1, low - 1, -1):
        item = items[place]
        if item < 0:
            continue
        age, reach = weigh(stamps[place], anchor, weights)
        if age >= 0 and age // DAY != visit_day:
            visits, visit_day = visits + 1, age // DAY
        add_event(tallies[0], age, reach, weights, visits)
        fresh = slot_of[item] < 0
        tallies[0, DISTINCT] += fresh
        for g in range(groups.shape[1]):
            keys[g] = offsets[g] + groups[item, g]
        keys[-1] = item
        for key in keys:
            slot = slot_of[key]
            if slot < 0:
                slot = slot_of[key] = used
                owner[slot] = key
                start_tally(tallies[slot])
                used += 1
            tallies[slot, DISTINCT] += fresh
            add_event(tallies[slot], age, reach, weights, visits)
        _add_values(tallies[slot_of[item]], values[place], weights[H - 2])
    return used


@njit(nogil=True, cache=True)
def _add_values(tally, values, weight):  # type: ignore[no-untyped-def]
    for c in range(len(values)):
        if not np.isnan(values[c]):
            tally[SUMS + c] += values[c]
            tally[SUMS + len(values) + c] += weight * values[c]
