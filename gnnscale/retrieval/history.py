"""What every entity had before an anchor, read from the mapped graph."""

from __future__ import annotations

import numpy as np

from gnnscale.evaluation import History
from gnnscale.query import PredictiveQuery
from gnnscale.schema import EdgeType
from gnnscale.store import GraphStore


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
    there = store.features(query.target.name).alive(item, relative)
    return History(
        entity[linked][there],
        item[there],
        age[linked][there],
        store.node_count(query.entity.name),
        store.node_count(query.target.name),
    )
