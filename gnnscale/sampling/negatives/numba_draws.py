"""Negatives by popularity compiled by numba: no GIL, and no difference from the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gnnscale.sampling.keys import UInt64
from gnnscale.sampling.negatives.known import KnownPositives, is_known
from gnnscale.sampling.negatives.numpy_draws import REDRAWS, UNSETTLED
from gnnscale.sampling.negatives.popularity import Popularity
from gnnscale.sampling.numba_keys import draw_bits, multiply_high, read_only

_NO_TIMES = np.zeros(0, np.int32)


def fill_negatives(
    popularity: Popularity,
    known: KnownPositives,
    entities: NDArray[np.int64],
    anchors: NDArray[np.int32],
    keys: UInt64,
    redraw: NDArray[np.bool_],
    nodes: NDArray[np.int64],
) -> None:
    """As :func:`gnnscale.sampling.negatives.numpy_draws.fill_negatives`."""
    features = popularity.features
    come: NDArray[Any] = _NO_TIMES if features is None else features.times
    valid_until: NDArray[Any] = _NO_TIMES if features is None or features.valid_until is None else features.valid_until
    targets = read_only(popularity.cumulative), read_only(popularity.guide), read_only(come), read_only(valid_until)
    _fill(*targets, read_only(known.indptr), read_only(known.targets), entities, anchors, keys, redraw, nodes)


@njit(nogil=True, cache=True)
def _fill(cumulative, guide, come, valid_until, indptr, targets, entities, anchors, keys, redraw, nodes):  # type: ignore[no-untyped-def]
    total = cumulative[-1]
    # Of the bits all but the upper ones, which number the guide's entries.
    shift = np.uint64(64 - int(np.log2(len(guide) - 1) + 0.5))
    for b in range(nodes.shape[0]):
        for j in range(nodes.shape[1]):
            nodes[b, j] = UNSETTLED
            if not redraw[b]:
                continue
            slot = draw_bits(keys[b], j)
            for attempt in range(REDRAWS):
                bits = draw_bits(slot, attempt)
                part = bits >> shift
                node = _find(cumulative, multiply_high(bits, total), guide[part], guide[part + np.uint64(1)])
                if len(come) and come[node] > anchors[b]:
                    continue
                if len(valid_until) and valid_until[node] <= anchors[b]:
                    continue
                if not is_known(indptr, targets, entities[b], node):
                    nodes[b, j] = node
                    break


@njit(nogil=True, cache=True, inline="always")
def _find(cumulative, place, first, last):  # type: ignore[no-untyped-def]
    """The target, of those from first to last, whose interval a place lies in: the first bound past it ends it."""
    low, high = np.int64(first), np.int64(last)
    while low < high:
        middle = (low + high) >> 1
        if cumulative[middle + 1] <= place:
            low = middle + 1
        else:
            high = middle
    return low
