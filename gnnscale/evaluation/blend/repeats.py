"""How much of what happens has happened before."""

from __future__ import annotations

import numpy as np

from gnnscale.retrieval import History


def share_of_repeats(history: History) -> float:
    """The share of the events whose entity had the item at an earlier time; 0 without events."""
    if not history.age.size:
        return 0.0
    order = np.lexsort((history.age, history.item, history.entity))
    columns = [values[order] for values in (history.entity, history.item, history.age)]
    new = np.ones(len(order), np.bool_)
    new[1:] = np.logical_or.reduce([values[1:] != values[:-1] for values in columns])
    return 1.0 - len(history.past.values) / int(new.sum())
