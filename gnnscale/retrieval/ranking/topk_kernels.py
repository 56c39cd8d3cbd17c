"""Compiled: the best of the targets that are offered, as pair scores, by an index, or one by one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gnnscale.retrieval.filters.filter_kernels import FilterArrays, mark_allowed, mark_members

SETTLED, DEEPER, DRY = 0, 1, 2
"""The best are known; the index must show more; the index has no more to show."""


class Terms(NamedTuple):
    """What an entity is ranked by; arrays of parts that are not there have no entries.

    Args:
        allowed: which targets each entity may be given.
        pair_indptr, pair_targets, pair_scores: scores that stand instead of the tower's, by entity.
        categories: code of each target's category, int32 ``[targets]``, -1 for none.
        cap: most targets of one category in a list; 0 for any number.
    """

    allowed: FilterArrays
    pair_indptr: NDArray[np.int64]
    pair_targets: NDArray[np.int64]
    pair_scores: NDArray[np.float32]
    categories: NDArray[np.int32]
    cap: int


class Lists(NamedTuple):
    """Lists that fill up in place.

    Args:
        rows: which entities these are, int64 ``[rows]``.
        best: targets, best first, int64 ``[rows, k]``; -1 where nothing is yet.
        scores: float32 ``[rows, k]``; -inf where nothing is yet.
        held: entries taken, int64 ``[rows]``.
    """

    rows: NDArray[np.int64]
    best: NDArray[np.int64]
    scores: NDArray[np.float32]
    held: NDArray[np.int64]

    @classmethod
    def empty(cls, rows: NDArray[np.int64], k: int) -> Lists:
        """Lists for ``k`` targets each."""
        shape = len(rows), k
        held = np.zeros(len(rows), np.int64)
        return cls(rows, np.full(shape, -1, np.int64), np.full(shape, -np.inf, np.float32), held)

    def take(self, which: NDArray[np.int64]) -> Lists:
        """Empty lists for some of the entities."""
        return Lists.empty(self.rows[which], self.best.shape[1])

    def cut(self, stretch: slice) -> Lists:
        """A stretch of the same lists, which fills up with them."""
        return Lists(self.rows[stretch], self.best[stretch], self.scores[stretch], self.held[stretch])

    def put(self, which: NDArray[np.int64], part: Lists) -> None:
        """Replace some of the lists."""
        self.best[which], self.scores[which], self.held[which] = part.best, part.scores, part.held


@njit(nogil=True, cache=True)
def _before(score, target, other_score, other):  # type: ignore[no-untyped-def]
    return score > other_score or (score == other_score and target < other)


@njit(nogil=True, cache=True)
def _offer(best, scores, held, target, score, categories, cap):  # type: ignore[no-untyped-def]
    """Take a target into a list where it is among the best, and among the best of its category.

    Whatever the order of the offers, the list is what a walk over all of them, best first, takes that skips a target
    whose category has its share. It is the greedy set of a truncated partition matroid (Edmonds, 1971), which never
    takes back what it has once left out.

    Returns:
        Entries of the list that are taken now.
    """
    k = best.size
    if held == k and not _before(score, target, scores[k - 1], best[k - 1]):
        return held
    place = min(held, k - 1)
    if cap > 0 and categories[target] >= 0:
        same = last = 0
        for j in range(held):
            if categories[best[j]] == categories[target]:
                same, last = same + 1, j
        if same >= cap:
            if not _before(score, target, scores[last], best[last]):
                return held
            place = last
    held = max(held, place + 1)
    while place > 0 and _before(score, target, scores[place - 1], best[place - 1]):
        best[place], scores[place] = best[place - 1], scores[place - 1]
        place -= 1
    best[place], scores[place] = target, score
    return held


@njit(nogil=True, cache=True)
def _offer_marked(lists, i, targets, tower, marks, categories, cap):  # type: ignore[no-untyped-def]
    """Offer list i those of some targets that are marked."""
    best, scores, held = lists.best[i], lists.scores[i], lists.held[i]
    k = best.size
    for j in range(targets.size):
        if marks[j] and (held < k or tower[j] >= scores[k - 1]):
            held = _offer(best, scores, held, targets[j], tower[j], categories, cap)
    lists.held[i] = held


@njit(nogil=True, cache=True)
def _pairs_of(terms, entity):  # type: ignore[no-untyped-def]
    """Ascending targets of an entity's pairs."""
    if terms.pair_indptr.size == 0:
        return np.empty(0, np.int64)
    return np.sort(terms.pair_targets[terms.pair_indptr[entity] : terms.pair_indptr[entity + 1]])


@njit(nogil=True, cache=True)
def offer_pairs(terms, lists):  # type: ignore[no-untyped-def]
    """Offer each list the allowed targets of the entity's pairs."""
    if terms.pair_indptr.size == 0:
        return
    for i in range(lists.rows.size):
        own = slice(terms.pair_indptr[lists.rows[i]], terms.pair_indptr[lists.rows[i] + 1])
        targets = terms.pair_targets[own]
        # Past the end of the mask, there would be no word of it.
        assert targets.size == 0 or targets.max() < terms.allowed.mask.size
        marks = np.ones(targets.size, np.bool_)
        mark_allowed(terms.allowed, lists.rows[i], targets, marks)
        _offer_marked(lists, i, targets, terms.pair_scores[own], marks, terms.categories, terms.cap)


@njit(nogil=True, cache=True)
def offer_shown(terms, lists, shown, tower):  # type: ignore[no-untyped-def]
    """Offer each list what an index has shown, ``[rows, depth]``, best first, of which ``tower`` are the scores."""
    k = lists.best.shape[1]
    for i in range(lists.rows.size):
        least = lists.scores[i, k - 1]
        count = 0
        while count < shown.shape[1] and shown[i, count] >= 0 and tower[i, count] >= least:
            count += 1
        targets = shown[i, :count]
        marks = np.ones(count, np.bool_)
        mark_allowed(terms.allowed, lists.rows[i], targets, marks)
        mark_members(_pairs_of(terms, lists.rows[i]), targets, marks, False)
        _offer_marked(lists, i, targets, tower[i, :count], marks, terms.categories, terms.cap)


@njit(nogil=True, cache=True)
def judge(lists, shown, tower, counts, longest, size, ties):  # type: ignore[no-untyped-def]
    """Whether what an index has shown settles each list.

    What it has not shown has at most the last score shown, so a list whose worst target is better can't change.

    Args:
        lists: with all that was shown offered.
        shown, tower: targets and scores, ``[rows, depth]``, best first, -1 at the end where the index ran dry.
        counts: allowed targets of each entity, ``[rows]``.
        longest: no list is longer.
        size: targets in the index.
        ties: whether a target that ties with the last one shown counts.

    Returns:
        ``SETTLED``, ``DEEPER`` or ``DRY``, int8 ``[rows]``.
    """
    verdicts = np.empty(lists.held.size, np.int8)
    end = shown.shape[1] - 1
    for i in range(lists.held.size):
        held = lists.held[i]
        full = held >= min(counts[i], longest)
        if held == counts[i]:
            verdicts[i] = SETTLED
        elif shown[i, end] < 0:
            verdicts[i] = SETTLED if full else DRY
        elif end + 1 == size:
            verdicts[i] = SETTLED
        else:
            worst, last = lists.scores[i, max(held - 1, 0)], tower[i, end]
            sure = full and (worst > last or (worst == last and not ties))
            verdicts[i] = SETTLED if sure else DEEPER
    return verdicts


@njit(nogil=True, cache=True)
def offer_listed(terms, lists, indptr, targets, tower):  # type: ignore[no-untyped-def]
    """Offer each list some allowed targets, a row of ``indptr`` each, of which ``tower`` are the scores."""
    for i in range(lists.rows.size):
        own = slice(indptr[i], indptr[i + 1])
        marks = np.ones(indptr[i + 1] - indptr[i], np.bool_)
        mark_members(_pairs_of(terms, lists.rows[i]), targets[own], marks, False)
        _offer_marked(lists, i, targets[own], tower[own], marks, terms.categories, terms.cap)


@njit(nogil=True, cache=True)
def offer_block(terms, lists, targets, tower):  # type: ignore[no-untyped-def]
    """Offer each list the same targets, ``[block]``, of which ``tower`` are the scores, ``[rows, block]``."""
    k = lists.best.shape[1]
    chosen, scores = np.empty(targets.size, np.int64), np.empty(targets.size, np.float32)
    for i in range(lists.rows.size):
        # Few of all targets have a chance, so the rest is not looked up.
        least, count = lists.scores[i, k - 1], 0
        for j in range(targets.size):
            chosen[count], scores[count] = targets[j], tower[i, j]
            count += tower[i, j] >= least
        marks = np.ones(count, np.bool_)
        mark_allowed(terms.allowed, lists.rows[i], chosen[:count], marks)
        mark_members(_pairs_of(terms, lists.rows[i]), chosen[:count], marks, False)
        _offer_marked(lists, i, chosen[:count], scores[:count], marks, terms.categories, terms.cap)


@njit(nogil=True, cache=True)
def replace_scores(terms, rows, targets, scores):  # type: ignore[no-untyped-def]
    """Put the score of a pair in place of the tower's, for one target of each entity."""
    if terms.pair_indptr.size == 0:
        return
    for i in range(rows.size):
        for j in range(terms.pair_indptr[rows[i]], terms.pair_indptr[rows[i] + 1]):
            if terms.pair_targets[j] == targets[i]:
                scores[i] = terms.pair_scores[j]
