"""Generated events, compiled by numba: every value a hash of its stream's key and the row's number."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Int64 = NDArray[np.int64]

LATEST = 3_600_000
"""How far an event is out of order at most: logs come in up to an hour late (milliseconds)."""

BORN_LATER = 4
"""Of this many nodes the last comes to be known within the time span, the others before it."""

TEXT_WIDTH = 14
"""Bytes of a text key: a letter and a 63-bit number in base 36."""

UNIT: float = 2.0**-53
"""What turns 53 random bits into a number under 1."""

_U30, _U27, _U31, _U11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_ONE, _LOW63 = np.uint64(1), np.uint64((1 << 63) - 1)


@njit(nogil=True, cache=True)
def share(key, row):  # type: ignore[no-untyped-def]
    """A number in ``[0, 1)`` of 53 random bits; the bits are those of :func:`gnnscale.sampling.keys.example_keys`."""
    value = key + _GOLDEN * (np.uint64(row) + _ONE)
    value = (value ^ (value >> _U30)) * _M1
    value = (value ^ (value >> _U27)) * _M2
    return np.float64((value ^ (value >> _U31)) >> _U11) * UNIT


@njit(nogil=True, cache=True)
def power_law(chance, count, skew):  # type: ignore[no-untyped-def]
    """A rank in ``[0, count)`` whose density falls as ``(rank + 1) ** -skew``.

    The inverse of a bounded Pareto's distribution function: ``x = (1 + u ((n + 1)^(1 - s) - 1))^(1 / (1 - s))`` on
    ``[1, n + 1)``, and ``x = (n + 1)^u`` where s is 1.
    """
    rest = 1.0 - skew
    top = np.float64(count + 1)
    x = top**chance if abs(rest) < 1e-9 else (1.0 + chance * (top**rest - 1.0)) ** (1.0 / rest)
    # Rounding may reach the upper end.
    return min(np.int64(x) - 1, count - 1)


@njit(nogil=True, cache=True)
def birth(key, node, start, span):  # type: ignore[no-untyped-def]
    """When a node comes to be known: milliseconds, in the span or in as long a time before it."""
    offset = np.int64(share(key, node) * span)
    return start + offset if node % BORN_LATER == BORN_LATER - 1 else start - span + offset


@njit(nogil=True, cache=True)
def fill_births(key, nodes, start, span, times):  # type: ignore[no-untyped-def]
    """Births of nodes in milliseconds, int64 ``[rows]``."""
    for i in range(len(nodes)):
        times[i] = birth(key, nodes[i], start, span)


@njit(nogil=True, cache=True)
def _known(key, node, start, span, time):  # type: ignore[no-untyped-def]
    # The node before one that was born later is there from the beginning.
    if node % BORN_LATER == BORN_LATER - 1 and birth(key, node, start, span) > time:
        return node - 1
    return node


@njit(nogil=True, cache=True)
def fill_events(keys, births, first, total, counts, skews, hub_share, start, span, users, items, times, types):  # type: ignore[no-untyped-def]
    """Rows of the events' table from ``first`` on.

    Args:
        keys: of the user's, item's, hub's, time's and type's stream, uint64 ``[5]``.
        births: keys of the users' and the items' births, uint64 ``[2]``.
        first: number of the first row.
        total: events in the whole table.
        counts: users and items, int64 ``[2]``.
        skews: exponents of both, float64 ``[2]``.
        hub_share: share of the events that go to item 0; over 0, no other event does.
        start, span: of the times, milliseconds.
        users, items: filled with node numbers, int64 ``[rows]``.
        times: filled with milliseconds, int64 ``[rows]``.
        types: filled with 0 to 2, int8 ``[rows]``.
    """
    hubs = 1 if hub_share > 0.0 else 0
    for i in range(len(times)):
        row = first + i
        time = start + np.int64(row / total * (span - LATEST)) + np.int64(share(keys[3], row) * LATEST)
        user = power_law(share(keys[0], row), counts[0], skews[0])
        if hubs and share(keys[2], row) < hub_share:
            item = np.int64(0)
        else:
            item = hubs + power_law(share(keys[1], row), counts[1] - hubs, skews[1])
        kind = share(keys[4], row)
        users[i] = _known(births[0], user, start, span, time)
        items[i] = _known(births[1], item, start, span, time)
        times[i] = time
        # Of 20 events 16 are views, 3 carts and 1 a purchase.
        types[i] = 0 if kind < 0.8 else (1 if kind < 0.95 else 2)


@njit(nogil=True, cache=True)
def _number(key, node):  # type: ignore[no-untyped-def]
    # Every step is a bijection of 63 bits: a shift to the right and back, an odd factor.
    value = (np.uint64(node) + key) & _LOW63
    value = ((value ^ (value >> _U30)) * _M1) & _LOW63
    value = ((value ^ (value >> _U27)) * _M2) & _LOW63
    return value ^ (value >> _U31)


@njit(nogil=True, cache=True)
def fill_numbers(key, nodes, numbers):  # type: ignore[no-untyped-def]
    """Keys of nodes as numbers of 63 bits, no two the same; int64 ``[rows]``."""
    for i in range(len(nodes)):
        numbers[i] = np.int64(_number(key, nodes[i]))


@njit(nogil=True, cache=True)
def fill_text(key, letter, nodes, text):  # type: ignore[no-untyped-def]
    """Keys of nodes as text: a letter and the number in base 36; uint8 ``[rows, TEXT_WIDTH]``."""
    for i in range(len(nodes)):
        value = _number(key, nodes[i])
        text[i, 0] = letter
        for j in range(TEXT_WIDTH - 1, 0, -1):
            rest = value // np.uint64(36)
            digit = value - rest * np.uint64(36)
            text[i, j] = digit + np.uint64(48) if digit < np.uint64(10) else digit + np.uint64(87)
            value = rest
