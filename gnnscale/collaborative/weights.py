"""Weights of several recommenders in one: learned on edges that none of them was fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from gnnscale.arrays import Ids, Ragged
from gnnscale.collaborative.interactions import Scores
from gnnscale.collaborative.ranking import Scorer, item_sets, user_blocks
from gnnscale.collaborative.sparse_kernels import best_items, row_statistics

MOST_USERS: Final = 3_000
"""Users that weights are learned on; of more, so many are drawn."""

DEPTH: Final = 100
"""Items of each part's list that are looked at."""

ROUNDS: Final = 40
"""Units of weight that are given out."""


def standardized(scores: Scores) -> Scores:
    """The scores of each row with mean 0 and deviation 1, in place."""
    mean, deviation = row_statistics(scores)
    scores -= mean[:, None]
    scores /= deviation[:, None]
    return scores


@dataclass(frozen=True, eq=False)
class Candidates:
    """What parts say of the items that any of them puts first.

    Args:
        scores: standardized, float32 ``[parts, N, C]``; minus infinity where a user has fewer candidates.
        hits: which candidates came true, bool ``[N, C]``.
        size: how many came true for each user, int64 ``[N]``.
    """

    scores: NDArray[np.float32]
    hits: NDArray[np.bool_]
    size: Ids

    def quality(self, total: NDArray[np.float32], k: int) -> float:
        """Mean of Recall@k and NDCG@k of the users' candidates in order of ``total``, float32 ``[N, C]``."""
        width = min(k, total.shape[1])
        best = np.argpartition(-total, width - 1, axis=1)[:, :width]
        order = np.argsort(-np.take_along_axis(total, best, 1), axis=1, kind="stable")
        found = np.take_along_axis(self.hits, np.take_along_axis(best, order, 1), 1)
        discount = 1.0 / np.log2(np.arange(2, k + 2))
        ideal = np.cumsum(discount)[np.minimum(self.size, k) - 1]
        recall, gain = found.sum(1) / self.size, (found * discount[:width]).sum(1) / ideal
        return float((recall + gain).mean() / 2)


def gather_candidates(
    parts: Sequence[Scorer], users: Ids, seen: scipy.sparse.csr_matrix, truth: Ragged, depth: int = DEPTH
) -> Candidates:
    """Candidates of some users: the first ``depth`` items of every part that the user has not had.

    Args:
        parts: fitted recommenders.
        users: rows, int64 ``[N]``.
        seen: what is left out, CSR ``[n_users, n_items]``.
        truth: what came true for each of the N users.
        depth: items of each part.
    """
    count, width = len(parts), min(depth, seen.shape[1])
    scores = np.full((count, len(users), count * width), -np.inf, np.float32)
    hits = np.zeros((len(users), count * width), np.bool_)
    had = item_sets(seen[users])
    for block in user_blocks(users, seen.shape[1], count + 1):
        rows = np.arange(block.start, block.stop)
        each = [standardized(part.score(users[block])) for part in parts]
        right = truth.take(rows)
        lists = [best_items(found, had.take(rows), width, right)[0] for found in each]
        items = np.sort(np.concatenate(lists, axis=1), axis=1)
        items[:, 1:][items[:, 1:] == items[:, :-1]] = -1
        hits[block] = right.contains(items)
        for part, found in enumerate(each):
            scores[part, block] = np.where(items >= 0, np.take_along_axis(found, np.maximum(items, 0), 1), -np.inf)
    return Candidates(scores, hits, truth.counts)


def learn_weights(
    parts: Sequence[Scorer],
    seen: scipy.sparse.csr_matrix,
    truth: scipy.sparse.csr_matrix,
    k: int = 20,
    seed: int = 0,
    most_users: int = MOST_USERS,
) -> NDArray[np.float64]:
    """Weights of standardized scores, by greedy selection with replacement (Caruana et al., 2004).

    The best part gets the first unit; then, unit by unit, the part gets one that helps Recall@k and NDCG@k most. The
    best of all the sums on the way is kept, so that a part that adds nothing has no weight.

    Args:
        parts: recommenders fitted to ``seen``.
        seen: CSR ``[n_users, n_items]``.
        truth: edges that were held out, as ``seen``.
        k: length of the lists.
        seed: of the users that are drawn.
        most_users: users that are looked at.

    Returns:
        float64 ``[parts]``, summing to 1.
    """
    users = np.flatnonzero(np.diff(truth.indptr))
    if len(users) > most_users:
        users = np.sort(np.random.default_rng(seed).choice(users, most_users, replace=False))
    if not len(users):
        return np.full(len(parts), 1 / len(parts))
    found = gather_candidates(parts, users, seen, item_sets(truth[users]))
    units = np.zeros(len(parts), np.int64)
    total = np.zeros(found.scores.shape[1:], np.float32)
    best, kept = -1.0, units.copy()
    for _ in range(ROUNDS if len(parts) > 1 else 1):
        quality = [found.quality(total + own, k) for own in found.scores]
        chosen = int(np.argmax(quality))
        units[chosen] += 1
        total += found.scores[chosen]
        if quality[chosen] > best:
            best, kept = quality[chosen], units.copy()
    return kept / kept.sum()
