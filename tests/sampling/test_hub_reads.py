"""A step of a walk reads a hub as any other node: a few entries, however many edges it has.

Counted in the reference, whose steps all backends take.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnscale.sampling import WalkRule, find_backend
from gnnscale.sampling.walks.walk_sampler import follow
from gnnscale.store import Adjacency
from tests.sampling.graphs import features_of, keys_for


class Counted(np.ndarray):
    """An array that counts the elements that are read of it and of its slices: all, where it is taken whole."""

    reads = 0

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        if not isinstance(key, slice):
            Counted.reads += np.size(found)
        return found

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function is np.searchsorted and np.ndim(args[1]) == 0:
            # A binary search.
            Counted.reads += int(np.ceil(np.log2(len(self) + 1)))
        else:
            Counted.reads += self.size
        plain = [arg.view(np.ndarray) if isinstance(arg, Counted) else arg for arg in args]
        return function(*plain, **kwargs)

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        Counted.reads += self.size
        plain = [entry.view(np.ndarray) if isinstance(entry, Counted) else entry for entry in inputs]
        return getattr(function, method)(*plain, **kwargs)


def reads_of(degree: int) -> int:
    """Of 20 walks of two steps, from a node with so many edges to nodes that lead back to it."""
    arrays = [np.arange(degree) % 5 + 1, np.zeros(degree)]
    hub = [np.concatenate([array, np.zeros(5)]).astype(np.int32).view(Counted) for array in arrays]
    indptr = np.concatenate([[0], degree + np.arange(6)]).view(Counted)
    step = Adjacency(indptr, *hub), features_of()
    Counted.reads = 0
    backend = find_backend("numpy").fill_neighbors
    nodes, _ = follow([step] * 2, 2, np.zeros(1, np.int64), np.ones(1, np.int32), keys_for(1), WalkRule(20), backend)
    assert (nodes[:, :, 0] > 0).all() and (nodes[:, :, 1] == 0).all()
    return Counted.reads


def test_a_hub_costs_a_walk_no_more_than_another_node():
    few, many = reads_of(16), reads_of(1_000_000)
    # The binary search for the anchor takes 20 looks and not 5.
    assert few < many <= few + 20 * 16
