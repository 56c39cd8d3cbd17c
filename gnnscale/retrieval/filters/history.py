"""What every entity had before an anchor, read from the mapped graph."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gnnscale.arrays import Flags, Ids, Ragged
from gnnscale.query import PredictiveQuery
from gnnscale.schema import DataError, EdgeType
from gnnscale.store import GraphStore, NodeFeatures


@dataclass(frozen=True, eq=False)
class Catalog:
    """What is known of entities and items by their columns.

    Args:
        entities, items: of all rows of the two tables.
        there: items that are there at the anchor: come by then and not ended, bool ``[n_items]``.
    """

    entities: NodeFeatures
    items: NodeFeatures
    there: Flags


@dataclass(frozen=True, eq=False)
class History:
    """Events before the anchor time, in any order.

    Args:
        entity: row of the entity of each event, int64 ``[E]`` in ``0 .. n_entities - 1``.
        item: item of each event, int64 ``[E]`` in ``0 .. n_items - 1``.
        age: seconds from the event to the anchor, int64 ``[E]``, >= 0.
        n_entities: number of entities, N; some may have no event.
        n_items: size of the catalogue.
        catalog: columns of entities and items; None where only their events are known.

    Raises:
        DataError: lengths differ or a value is outside its range.
    """

    entity: Ids
    item: Ids
    age: Ids
    n_entities: int
    n_items: int
    catalog: Catalog | None = None

    def __post_init__(self) -> None:
        limits = {"entity": self.n_entities - 1, "item": self.n_items - 1, "age": np.iinfo(np.int64).max}
        for name, limit in limits.items():
            values = np.asarray(getattr(self, name), dtype=np.int64)
            object.__setattr__(self, name, values)
            if values.ndim != 1 or values.size != np.size(self.entity):
                raise DataError(f"history.{name} must be flat and as long as entity: got {values.shape}")
            if values.size and not 0 <= values.min() <= values.max() <= limit:
                raise DataError(f"history.{name} must be in 0 .. {limit}: {values.min()} .. {values.max()}")

    @cached_property
    def past(self) -> Ragged:
        """The distinct items that each entity has had, N rows."""
        return Ragged.from_pairs(self.entity, self.item, self.n_entities)

    @cached_property
    def totals(self) -> Ids:
        """Number of events of each item, int64 ``[n_items]``."""
        return np.bincount(self.item, minlength=self.n_items)


def read_history(store: GraphStore, query: PredictiveQuery, anchor: int) -> History:
    """Events of all entities stamped at or before the anchor.

    Args:
        store: the graph.
        query: says what is an entity, an event and a target.
        anchor: epoch seconds.

    Returns:
        Entity rows are node ids; ages are in seconds.
    """
    events = store.adjacency(EdgeType(query.entity_link, reverse=True))
    targets = store.adjacency(EdgeType(query.target_link, reverse=False))
    relative = anchor - store.manifest.origin
    entity = np.repeat(np.arange(len(events.degrees)), events.degrees)
    known = np.asarray(events.times) <= relative
    rows, entity = np.asarray(events.neighbors)[known], entity[known]
    age = relative - np.asarray(events.times)[known].astype(np.int64)
    linked = targets.degrees[rows] > 0
    item = np.asarray(targets.neighbors)[targets.indptr[rows[linked]]].astype(np.int64)
    # What has ended is no answer any more, for baselines as for the model.
    items = store.features(query.target.name)
    there = items.is_valid_at(item, relative)
    every = items.is_valid_at(np.arange(store.node_count(query.target.name)), relative)
    return History(
        entity[linked][there],
        item[there],
        age[linked][there],
        store.node_count(query.entity.name),
        store.node_count(query.target.name),
        Catalog(store.features(query.entity.name), items, every),
    )
