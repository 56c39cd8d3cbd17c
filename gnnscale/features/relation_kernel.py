"""Features of a relation at some anchors, in one pass over the events of each example."""

from __future__ import annotations

import numpy as np
from numba import njit

from gnnscale.features.relation_names import LONG, SHARE_HALF_LIFE, TRENDS
from gnnscale.features.tally import (
    COUNTS,
    DAYS,
    DECAYED,
    DECAYED_DAYS,
    FIRST,
    LAST,
    LAST_GAP,
    WIDTH,
    H,
    W,
    add_event,
    close_tally,
    gap_deviation,
    gap_mean,
    known_events,
    over,
    start_tally,
    weigh,
)


@njit(nogil=True, cache=True)
def relation_features(  # type: ignore[no-untyped-def]
    indptr,
    stamps,
    values,
    codes,
    parents,
    named,
    since,
    number_links,
    code_links,
    categories,
    most,
    entity,
    anchors,
    out,
):
    """Write the features that :func:`gnnscale.features.relation_names.relation_names` names.

    Each example is computed by itself, so that which others stand beside it changes no bit.

    Args:
        indptr, stamps, values, codes, parents, named, since, number_links, code_links: of
            :class:`gnnscale.features.event_rows.EventRows`.
        categories: shares of each categorical column, int64 ``[columns]``.
        most: events of an example that count, the latest.
        entity: which of the entities each example is of, int64 ``[examples]``.
        anchors: seconds after the graph's origin, int32 ``[examples]``.
        out: float32 ``[examples, features]``, filled.
    """
    columns, kinds, links = values.shape[1], codes.shape[1], parents.shape[1]
    tally, weights = np.zeros(WIDTH), np.zeros(H)
    # By column: sums by window, sums decayed, and the same of what is missing.
    sums, missing = np.zeros((columns, W + H)), np.zeros((columns, W + H))
    shares = np.zeros((kinds, categories.max() + 1 if kinds else 1))
    distinct = np.zeros((links, W))
    first = np.zeros(links + 1, np.int64)
    for link in range(links):
        first[link + 1] = first[link] + named[link]
    seen = np.full(first[links], -1, np.int64)
    for row in range(len(entity)):
        start_tally(tally)
        sums[:], missing[:], shares[:], distinct[:] = 0, 0, 0, 0
        low, anchor, now = indptr[entity[row]], np.int64(anchors[row]), 0
        high = known_events(stamps, low, indptr[entity[row] + 1], anchor)
        low = max(low, high - most)
        for place in range(high - 1, low - 1, -1):
            age, reach = weigh(stamps[place], anchor, weights)
            now += age == 0
            add_event(tally, age, reach, weights, 0)
            # A row that is named may come after the anchor; then nothing is known of it.
            _add_values(values[place], since[place], number_links, anchor, reach, weights, sums, missing)
            for k in range(kinds):
                code = codes[place, k] if _is_there(since[place], code_links[k], anchor) else 0
                shares[k, code] += weights[SHARE_HALF_LIFE] if age >= 0 else 1.0
            for link in range(links):
                parent = first[link] + parents[place, link]
                if parents[place, link] >= 0 and since[place, link] <= anchor and seen[parent] != row:
                    # Latest first: it counts in the windows of its latest event.
                    seen[parent] = row
                    distinct[link, reach] += 1
        close_tally(tally)
        at = _write_events(tally, now, out[row])
        at = _write_distinct(distinct, out[row], at)
        for c in range(columns):
            at = _write_sums(tally, sums[c], missing[c], out[row], at)
        _write_shares(shares, categories, out[row], at)


@njit(nogil=True, cache=True)
def _is_there(since, link, anchor):  # type: ignore[no-untyped-def]
    """Whether what a column comes over is there at the anchor; the event itself is."""
    return link < 0 or since[link] <= anchor


@njit(nogil=True, cache=True)
def _add_values(values, since, links, anchor, reach, weights, sums, missing):  # type: ignore[no-untyped-def]
    for c in range(len(values)):
        value = values[c]
        if np.isnan(value) or not _is_there(since, links[c], anchor):
            missing[c, reach] += 1
            for h in range(H):
                missing[c, W + h] += weights[h]
        else:
            sums[c, reach] += value
            for h in range(H):
                sums[c, W + h] += weights[h] * value


@njit(nogil=True, cache=True)
def _write_events(tally, now, out):  # type: ignore[no-untyped-def]
    """Counts, days, gaps, decay, rates and trends; returns where the next features begin."""
    for w in range(W):
        out[w], out[W + w] = tally[COUNTS + w], tally[DAYS + w]
    at, mean = 2 * W, gap_mean(tally)
    out[at], out[at + 1], out[at + 2] = now, tally[LAST], tally[FIRST]
    out[at + 3], out[at + 4], out[at + 5] = mean, gap_deviation(tally), tally[LAST_GAP]
    out[at + 6] = over(tally[LAST], mean)
    at += 7
    for h in range(H):
        out[at + h], out[at + H + h] = tally[DECAYED + h], tally[DECAYED_DAYS + h]
    at += 2 * H
    for w in LONG:
        out[at] = over(tally[COUNTS + w], tally[DAYS + w])
        at += 1
    for w in TRENDS:
        out[at] = over(tally[COUNTS + w], tally[COUNTS + w + 1])
        out[at + len(TRENDS)] = over(tally[DAYS + w], tally[DAYS + w + 1])
        at += 1
    return at + len(TRENDS)


@njit(nogil=True, cache=True)
def _write_distinct(distinct, out, at):  # type: ignore[no-untyped-def]
    for link in range(len(distinct)):
        for w in range(1, W):
            distinct[link, w] += distinct[link, w - 1]
        for w in LONG:
            out[at] = distinct[link, w]
            at += 1
    return at


@njit(nogil=True, cache=True)
def _write_sums(tally, sums, missing, out, at):  # type: ignore[no-untyped-def]
    """Of one column."""
    for w in range(1, W):
        sums[w] += sums[w - 1]
        missing[w] += missing[w - 1]
    for i in range(W + H):
        out[at + i] = sums[i]
    at += W + H
    for w in LONG:
        out[at] = over(sums[w], tally[COUNTS + w] - missing[w])
        at += 1
    for h in range(H):
        known = tally[DECAYED + h] - missing[W + h]
        # Where all is missing, what rounding leaves of the difference is no weight.
        out[at + h] = sums[W + h] / known if known > 1e-9 else np.nan
    at += H
    for w in LONG:
        out[at] = over(sums[w], tally[DAYS + w])
        at += 1
    for w in TRENDS:
        # Sums may be of either sign, so that a ratio would tell little.
        out[at] = 2 * sums[w] - sums[w + 1]
        at += 1
    return at


@njit(nogil=True, cache=True)
def _write_shares(shares, categories, out, at):  # type: ignore[no-untyped-def]
    for k in range(len(categories)):
        total = shares[k].sum()
        for code in range(1, categories[k] + 1):
            out[at] = over(shares[k, code], total)
            at += 1
