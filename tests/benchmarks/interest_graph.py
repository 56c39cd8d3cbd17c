"""A graph of users and items of Gowalla's size with structure to learn: places, interests, popularity and chance."""

from __future__ import annotations

import numpy as np
import scipy.sparse

GOWALLA = (29_858, 40_981, 810_128)
"""Users, items and edges of the published split."""


def interest_graph(users: int, items: int, edges: int, seed: int = 0) -> scipy.sparse.csr_matrix:
    """Draw who has had what, float32 CSR ``[users, items]``, each pair once.

    Items belong to places, in a row along a line, and to themes; within either their shares fall by a power law. A user
    has a home, some neighboring places and two themes; a tenth of the edges goes to what is popular everywhere.

    Args:
        users: number of users; each has at least 8 items, and the mean follows from ``edges``.
        items: size of the catalogue.
        edges: about how many pairs.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    places, themes = max(8, items // 80), max(4, items // 400)
    place, theme = np.sort(rng.integers(0, places, items)), rng.integers(0, themes, items)
    weight = (rng.pareto(1.3, items) + 0.05).clip(max=200)
    mean = edges / users * 1.18
    degrees = np.minimum(8 + rng.lognormal(np.log(max(mean - 8, 1)) - 0.7, 1.18, users), items / 10).astype(np.int64)
    owner = np.repeat(np.arange(users), degrees)
    home, taste = rng.integers(0, places, users), rng.integers(0, themes, (users, 2))
    reach = rng.geometric(0.25, users)
    kind = rng.random(len(owner))
    drawn = np.empty(len(owner), np.int64)
    local, themed = kind < 0.6, (kind >= 0.6) & (kind < 0.9)
    span = np.rint(rng.normal(0, 1, local.sum()) * reach[owner[local]] * 0.5).astype(np.int64)
    drawn[local] = _draw(rng, (home[owner[local]] + span) % places, place, weight)
    pick = taste[owner[themed], rng.integers(0, 2, themed.sum())]
    drawn[themed] = _draw(rng, pick, theme, weight)
    rest = ~(local | themed)
    drawn[rest] = _draw(rng, np.zeros(rest.sum(), np.int64), np.zeros(items, np.int64), weight)
    graph = scipy.sparse.coo_matrix((np.ones(len(owner), np.float32), (owner, drawn)), (users, items)).tocsr()
    graph.data[:] = 1
    return graph


def _draw(rng: np.random.Generator, groups: np.ndarray, group_of_item: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """An item of each group, by weight; of a group without items, any of the next one's."""
    order = np.argsort(group_of_item, kind="stable")
    heap = np.cumsum(weight[order])
    starts = np.searchsorted(group_of_item[order], np.arange(group_of_item.max() + 2))
    below = np.concatenate(([0.0], heap))
    low, high = below[starts[groups]], below[starts[groups + 1]]
    found = np.searchsorted(heap, low + rng.random(len(groups)) * (high - low), side="right")
    return order[np.minimum(found, len(order) - 1)]


def hold_out(graph: scipy.sparse.csr_matrix, share: float, seed: int = 0) -> tuple[scipy.sparse.csr_matrix, ...]:
    """Training and held-out edges: of each user the share, rounded."""
    rng = np.random.default_rng(seed)
    row = np.repeat(np.arange(graph.shape[0]), np.diff(graph.indptr))
    order = np.lexsort((rng.random(graph.nnz), row))
    rank = np.arange(graph.nnz) - graph.indptr[row]
    held = rank < np.rint(np.diff(graph.indptr) * share)[row]
    parts = []
    for chosen in (~held, held):
        edges = order[chosen]
        parts.append(scipy.sparse.csr_matrix((graph.data[edges], (row[chosen], graph.indices[edges])), graph.shape))
    return tuple(parts)
