"""What is known of an entity at an anchor as plain columns: counts, sums and recency, for models that take no graph.

Only events stamped at or before the anchor count. A window of d days is ``(anchor - d, anchor]``; the day of an event
is the number of whole days between it and the anchor.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gnnscale.schema import EdgeType, FeatureManifest, Link
from gnnscale.store import ALWAYS, GraphStore

DAY: Final = 86_400

_LARGEST: Final = 1e30
"""Seconds."""

WINDOWS: Final = (7, 28, 90)
"""Days that events are counted over, beside all of the past."""

PERIODS: Final = (*(f"{days}d" for days in WINDOWS), "all")


class CountFeatures:
    """Features of the rows of one table, from the events that point at them and from their own columns.

    For each link that points at the table: the number of events in the last 7, 28 and 90 days and ever; days since the
    last and since the first; the number of distinct days with an event; and the sum of each numerical column, as
    raw values as far as their encoding keeps them (it clips outliers; what is missing adds nothing). Then the rows'
    own encoded columns and, where rows have a time, their age in days. Of links whose events have no times, only
    what needs none.

    Args:
        store: the graph.
        table: whose rows the features are of.
        hidden_columns: (table, column) of features that must not be used, because they are the target.
        hidden_tables: tables whose events must not be used.

    Attributes:
        names: of the features, such as ``count(purchases.customer_id, 28d)``.
    """

    def __init__(
        self,
        store: GraphStore,
        table: str,
        hidden_columns: Collection[tuple[str, str]] = (),
        hidden_tables: Collection[str] = (),
    ) -> None:
        self._store = store
        self._table = table
        figures = store.manifest.table(table)
        self._links = [
            (link.link, _summed_columns(store, link.table, hidden_columns))
            for link in store.manifest.links
            if link.parent == table and link.table not in hidden_tables
        ]
        self._numerical = [i for i, f in enumerate(figures.numerical) if (table, f.column) not in hidden_columns]
        self._categorical = [i for i, f in enumerate(figures.categorical) if (table, f.column) not in hidden_columns]
        names = [name for link, columns in self._links for name in _link_names(store, link, columns)]
        names += [f"{table}.{figures.numerical[i].column}" for i in self._numerical]
        names += [f"{table}.{figures.categorical[i].column}" for i in self._categorical]
        self._aged = figures.time_range is not None
        self.names: tuple[str, ...] = (*names, *([f"age({table})"] if self._aged else []))

    def compute(self, entities: NDArray[np.int64], anchors: NDArray[np.int32]) -> NDArray[np.float32]:
        """The features of N rows.

        Args:
            entities: node ids, ``[N]``.
            anchors: seconds after the graph's origin, int32 ``[N]``.

        Returns:
            float32 ``[N, F]`` in the order of ``names``; NaN for the days since what never was.
        """
        nodes, times = np.asarray(entities, np.int64), np.asarray(anchors, np.int32)
        parts = [self._of_link(link, columns, nodes, times) for link, columns in self._links]
        own = self._store.features(self._table)
        parts.append(own.numerical[nodes][:, self._numerical])
        parts.append(own.categorical[nodes][:, self._categorical].astype(np.float32))
        if self._aged:
            born = own.times[nodes].astype(np.int64)
            age = np.where(born == ALWAYS, np.nan, (times - born) / DAY)
            parts.append(age[:, None].astype(np.float32))
        return np.concatenate(parts, axis=1)

    def _of_link(
        self, link: Link, columns: list[int], nodes: NDArray[np.int64], anchors: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        adjacency = self._store.adjacency(EdgeType(link, reverse=True))
        raw = _decoded(self._store, link.table, columns)
        periods = len(PERIODS)
        counts, days = np.zeros((len(nodes), periods)), np.zeros((len(nodes), periods))
        since = np.full((len(nodes), 2), np.nan)
        sums = np.zeros((len(nodes), periods, len(columns)))
        limits = np.array([days * DAY for days in WINDOWS], np.int64)
        _count(
            adjacency.indptr,
            adjacency.neighbors,
            adjacency.times,
            raw,
            nodes,
            anchors,
            limits,
            counts,
            since,
            days,
            sums,
        )
        if not _timed(self._store, link):
            return np.concatenate([counts[:, -1:], sums[:, -1]], axis=1).astype(np.float32)
        flat = sums.transpose(0, 2, 1).reshape(len(nodes), -1)  # column by column, its periods together
        return np.concatenate([counts, since, days, flat], axis=1).astype(np.float32)


def _timed(store: GraphStore, link: Link) -> bool:
    return store.manifest.table(link.table).time_range is not None


def _summed_columns(store: GraphStore, table: str, hidden: Collection[tuple[str, str]]) -> list[int]:
    """Positions of the numerical columns whose sum means something; that of timestamps does not."""
    features = store.manifest.table(table).numerical
    return [i for i, f in enumerate(features) if f.type == "numerical" and (table, f.column) not in hidden]


def _link_names(store: GraphStore, link: Link, columns: list[int]) -> list[str]:
    summed = [store.manifest.table(link.table).numerical[i].column for i in columns]
    if not _timed(store, link):
        return [f"count({link.name}, all)", *(f"sum({link.name}, {column}, all)" for column in summed)]
    return [
        *(f"count({link.name}, {period})" for period in PERIODS),
        f"days_since_last({link.name})",
        f"days_since_first({link.name})",
        *(f"active_days({link.name}, {period})" for period in PERIODS),
        *(f"sum({link.name}, {column}, {period})" for column in summed for period in PERIODS),
    ]


def _decoded(store: GraphStore, table: str, columns: list[int]) -> NDArray[np.float64]:
    """Raw values of the columns for every row of the table, float64 ``[rows, columns]``."""
    features = store.manifest.table(table).numerical
    encoded = store.features(table).numerical
    raw = np.empty((len(encoded), len(columns)))
    for place, column in enumerate(columns):
        raw[:, place] = _decode(encoded[:, column].astype(np.float64), features[column])
    return raw


def _decode(encoded: NDArray[np.float64], feature: FeatureManifest) -> NDArray[np.float64]:
    value = encoded * feature.std + feature.mean
    value = np.sign(value) * np.expm1(np.abs(value)) if feature.log else value
    # Sums of what is larger would leave the range of 32 bits.
    value = np.clip(value, -_LARGEST, _LARGEST)
    # A missing value is encoded as the mean, 0, which a value that is there hardly ever hits.
    return np.where((encoded == 0) & (feature.missing > 0), 0.0, value)


@njit(nogil=True, cache=True)
def _count(indptr, neighbors, stamps, raw, nodes, anchors, limits, counts, since, days, sums):  # type: ignore[no-untyped-def]
    windows, columns = len(limits), raw.shape[1]
    for row in range(len(nodes)):
        low, anchor = indptr[nodes[row]], np.int64(anchors[row])
        left, right = low, indptr[nodes[row] + 1]
        while left < right:
            middle = (left + right) >> 1
            if stamps[middle] <= anchor:
                left = middle + 1
            else:
                right = middle
        counts[row, windows] = left - low
        last_day = np.int64(-1)
        for place in range(left - 1, low - 1, -1):
            event = neighbors[place]
            for column in range(columns):
                sums[row, windows, column] += raw[event, column]
            if stamps[place] == ALWAYS:
                continue
            age = anchor - np.int64(stamps[place])
            if np.isnan(since[row, 0]):
                since[row, 0] = age / DAY
            since[row, 1] = age / DAY
            day = age // DAY
            fresh = day != last_day
            last_day = day
            days[row, windows] += fresh
            for window in range(windows):
                if age < limits[window]:
                    counts[row, window] += 1
                    days[row, window] += fresh
                    for column in range(columns):
                        sums[row, window, column] += raw[event, column]
