"""Lists of what fitted recommenders score highest, and how good they are under the papers' protocol.

All items are ranked but those that the user has had, and ties are broken against the method.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import numpy as np
import scipy.sparse

from gnnscale.arrays import Ids, Ragged
from gnnscale.collaborative.interactions import Scores
from gnnscale.collaborative.sparse_kernels import best_items
from gnnscale.metrics import RankingMetrics, evaluate_lists

BLOCK: Final = 1 << 25
"""Scores of users and items that are held at once: 128 MiB."""


class Scorer(Protocol):
    """What scores all items for users."""

    def score(self, users: Ids) -> Scores:
        """Scores, float32 ``[len(users), n_items]``."""
        ...


def item_sets(matrix: scipy.sparse.csr_matrix) -> Ragged:
    """The items of each row."""
    ordered = matrix.sorted_indices()
    return Ragged(ordered.indptr.astype(np.int64), ordered.indices.astype(np.int64), checked=False)


def user_blocks(users: Ids, items: int, parts: int = 1) -> Iterator[slice]:
    """Stretches of users whose scores, of so many methods at once, fit the memory that is given to them."""
    step = max(1, BLOCK // max(1, items * parts))
    for start in range(0, len(users), step):
        yield slice(start, min(start + step, len(users)))


def rank_items(
    scorer: Scorer, users: Ids, seen: scipy.sparse.csr_matrix, k: int, truth: Ragged | None = None
) -> tuple[Ids, Scores]:
    """The k best items of each user that the user has not had.

    Args:
        scorer: a fitted recommender.
        users: rows, int64 ``[N]``.
        seen: what is left out, CSR ``[n_users, n_items]``.
        k: length of the lists.
        truth: what came true for each of the N users, which loses ties; None where that is not looked at.

    Returns:
        Items, int64 ``[N, k]``, -1 where a list ends early, and scores, float32.
    """
    had = item_sets(seen[users])
    items, scores = np.full((len(users), k), -1, np.int64), np.full((len(users), k), -np.inf, np.float32)
    for block in user_blocks(users, seen.shape[1]):
        rows = np.arange(block.start, block.stop)
        last = None if truth is None else truth.take(rows)
        items[block], scores[block] = best_items(scorer.score(users[block]), had.take(rows), k, last)
    return items, scores


def explored(items: Ids, had: Ragged, share: float, n_items: int, seed: int) -> Ids:
    """Lists whose last places go to items drawn at random, so that something is learned of them.

    Args:
        items: lists, int64 ``[N, k]``, best first.
        had: what is left out of each.
        share: of the places, rounded up.
        n_items: size of the catalogue.
        seed: of the draws.

    Returns:
        int64 ``[N, k]``; -1 where the catalogue has no other item.
    """
    count = math.ceil(items.shape[1] * share)
    found = items.copy()
    if not count:
        return found
    found[:, -count:] = -1
    rng = np.random.default_rng(seed)
    for place in range(items.shape[1] - count, items.shape[1]):
        open_rows = np.arange(len(found))
        # What was had or is listed is drawn again; after so many times nothing else is left.
        for _ in range(100):
            drawn = rng.integers(0, n_items, len(open_rows))
            fresh = ~had.take(open_rows).contains(drawn[:, None])[:, 0]
            fresh &= ~(found[open_rows] == drawn[:, None]).any(1)
            found[open_rows[fresh], place] = drawn[fresh]
            open_rows = open_rows[~fresh]
            if not len(open_rows):
                break
    return found


def evaluate_scorer(
    scorer: Scorer,
    seen: scipy.sparse.csr_matrix,
    truth: scipy.sparse.csr_matrix,
    metrics: Sequence[str] = ("recall@20", "ndcg@20"),
) -> RankingMetrics:
    """How good a fitted recommender is at what came true, over the users for whom something did.

    Args:
        scorer: a fitted recommender.
        seen: what is left out of the lists, CSR ``[n_users, n_items]``.
        truth: what came true, as ``seen``.
        metrics: of lists; the lists are as long as the longest of them asks for.
    """
    users = np.flatnonzero(np.diff(truth.indptr))
    right = item_sets(truth[users])
    k = max(int(name.partition("@")[2]) for name in metrics)
    lists, _ = rank_items(scorer, users, seen, k, right)
    return evaluate_lists(metrics, lists, right, seen.shape[1])
