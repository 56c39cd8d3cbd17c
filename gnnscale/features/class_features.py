"""What is known, at an anchor, of an entity and each class: how often and how lately it had events of the class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gnnscale.features.event_rows import climb
from gnnscale.query import Aggregate, PredictiveQuery
from gnnscale.schema import DataError, EdgeType, Link, nearest
from gnnscale.store import ALWAYS, GraphStore

DAY: Final = 86_400
"""Seconds."""

RECENT: Final = 28
"""Days that recent events are counted over."""

CLASS_FEATURES: Final = (f"count({RECENT}d)", "count(all)", "days_since_last", "share(all)")
"""The last axis of :func:`class_features`."""


@dataclass(frozen=True)
class ClassPath:
    """Where the class of an event stands.

    Args:
        link: from the events to the entity.
        column: categorical column that holds the class.
        parent: link from the events to the table that has the column; None where the events have it themselves.

    Raises:
        DataError: the second link does not leave the events.
    """

    link: Link
    column: str
    parent: Link | None = None

    def __post_init__(self) -> None:
        if self.parent and self.parent.table != self.link.table:
            raise DataError(f"link {self.parent.name} does not leave {self.link.table}, the table of {self.link.name}")

    @property
    def table(self) -> str:
        """The table that has the column."""
        return self.parent.parent if self.parent else self.link.table


@dataclass(frozen=True, eq=False)
class ClassFeatures:
    """Features of an entity and each class; see :func:`class_features`.

    Args:
        store: the graph.
        path: from the entity to the class.
        classes: values of the column.
    """

    store: GraphStore
    path: ClassPath
    classes: tuple[str, ...]

    @classmethod
    def find(cls, store: GraphStore, query: PredictiveQuery, classes: Sequence[str]) -> Self | None:
        """For the classes that a query asks about; None where no categorical column of its events holds them."""
        target = query.expression
        if not isinstance(target, Aggregate) or target.column is None:
            return None
        known = [f.column for f in store.manifest.table(target.column.table).categorical]
        if target.column.name not in known:
            return None
        return cls(store, ClassPath(target.link, target.column.name, target.column.via), tuple(classes))

    def compute(self, entities: NDArray[np.int64], anchors: NDArray[np.int32]) -> NDArray[np.float32]:
        """Features of N rows, float32 ``[N, C, 4]``."""
        return class_features(self.store, self.path, self.classes, entities, anchors)


def class_features(
    store: GraphStore,
    path: ClassPath,
    classes: Sequence[str],
    entities: NDArray[np.int64],
    anchors: NDArray[np.int32],
) -> NDArray[np.float32]:
    """Features of N rows and C classes.

    Args:
        store: the graph.
        path: from the entity to the class.
        classes: values of the column.
        entities: node ids, ``[N]``.
        anchors: seconds after the graph's origin, int32 ``[N]``.

    Returns:
        float32 ``[N, C, 4]``, see ``CLASS_FEATURES``: events of the class in ``(anchor - 28 d, anchor]`` and ever; days
        since the last of them, NaN where there is none; and their share of all events, 0 without any.

    Raises:
        DataError: the column is not a categorical feature.
    """
    adjacency = store.adjacency(EdgeType(path.link, reverse=True))
    found = np.zeros((len(entities), len(classes), len(CLASS_FEATURES)), np.float32)
    found[:, :, 2] = np.nan
    if found.size:
        nodes, times = np.asarray(entities, np.int64), np.asarray(anchors, np.int32)
        _count(
            adjacency.indptr,
            adjacency.neighbors,
            adjacency.times,
            *event_classes(store, path, classes),
            nodes,
            times,
            RECENT * DAY,
            found,
        )
    return found


def event_classes(
    store: GraphStore, path: ClassPath, classes: Sequence[str]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Class of each event, int32 ``[events]``: its index in ``classes``, -1 for none of them.

    Beside it since when it is known, int32 ``[events]``, seconds after the graph's origin: what an event names may come
    after it.

    Raises:
        DataError: the column is not a categorical feature.
    """
    features = {f.column: (place, f) for place, f in enumerate(store.manifest.table(path.table).categorical)}
    if path.column not in features:
        raise DataError(f"{path.table}.{path.column} is not a categorical feature.{nearest(path.column, features)}")
    place, feature = features[path.column]
    index = {name: c for c, name in enumerate(classes)}
    of_code = np.array([-1, *(index.get(name, -1) for name in feature.categories)], np.int32)
    own = of_code[store.features(path.table).categorical[:, place]]  # [rows of the table that has the column]
    events = np.arange(store.node_count(path.link.table))
    named, since = climb(store, () if path.parent is None else (path.parent,), events)
    return np.where(named >= 0, own[named], np.int32(-1)), since


@njit(nogil=True, cache=True)
def _count(indptr, neighbors, stamps, label, since, nodes, anchors, recent, found):  # type: ignore[no-untyped-def]
    for row in range(len(nodes)):
        low, anchor = indptr[nodes[row]], np.int64(anchors[row])
        events = 0
        for place in range(low, indptr[nodes[row] + 1]):
            if stamps[place] > anchor:
                break
            events += 1
            c = label[neighbors[place]]
            if c < 0 or since[neighbors[place]] > anchor:
                continue
            found[row, c, 1] += 1
            if stamps[place] != ALWAYS:
                # events come in order of time, so the last one seen is the latest
                age = anchor - np.int64(stamps[place])
                found[row, c, 2] = age / DAY
                if age < recent:
                    found[row, c, 0] += 1
        for c in range(found.shape[1]):
            if events:
                found[row, c, 3] = found[row, c, 1] / events
