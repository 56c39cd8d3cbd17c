"""Exploration: a share of the positions goes to targets drawn at random, so that what ranks low is seen too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gnnscale.retrieval.filters.diversity import Diversity
from gnnscale.retrieval.filters.filter import Filter
from gnnscale.retrieval.filters.filter_kernels import (
    ONLY,
    allow_list,
    has_list,
    mark_allowed,
    mark_members,
    mark_pooled,
    own_span,
)
from gnnscale.retrieval.index.neighbors import Neighbors
from gnnscale.sampling import draw_bits, example_keys, multiply_high, stream_key
from gnnscale.schema import ConfigError, DataError

_TARGET_SLOT, _PLACE_SLOT = 1, 1 << 32
"""First slots of the draws of targets and of positions; slot 0 rounds their number."""

TRIES = 32
"""Most targets that are drawn for a position, to meet one that fits under the diversity cap."""


@dataclass(frozen=True, eq=False)
class Placed:
    """Lists with explored targets in them, all ``[rows, k]``.

    Args:
        targets: int64, -1 where there are fewer.
        scores: float32; NaN for explored targets, -inf where there are fewer.
        explored: which targets were drawn.
    """

    targets: NDArray[np.int64]
    scores: NDArray[np.float32]
    explored: NDArray[np.bool_]


@dataclass(frozen=True)
class Exploration:
    """Every allowed target that is not in an entity's list is as likely to be drawn.

    Draws are hashes of seed, anchor and entity: batches, workers and retries don't change them, and another anchor
    draws anew.

    Args:
        share: of the positions of a list, 0 to 1. Where that is no whole number, it is rounded at random, so that the
            mean over entities is the share.
        seed: of the run.
        anchor: time of the predictions, epoch seconds.

    Raises:
        ConfigError: the share is not in 0 to 1.
    """

    share: float
    seed: int
    anchor: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ConfigError(f"the share of exploration is {self.share}, and must be in 0 to 1")

    def place(
        self, found: Neighbors, rows: NDArray[np.int64], keep: Filter, diversity: Diversity | None = None
    ) -> Placed:
        """Put drawn targets into lists, at positions drawn too.

        The best of a list move down and the last ones make room. Where no more targets are allowed than the list
        holds, it stays as it is. With a diversity cap, drawn targets are evenly of those that fit under it; where they
        are too rare to be met, fewer are drawn.

        Args:
            found: allowed targets, best first.
            rows: which entities these are.
            keep: which targets each entity may be given.
            diversity: that the lists keep to; None for none.

        Raises:
            DataError: there is no such entity, or a list holds what its entity may not be given.
        """
        kept = keep.keep(rows, found.targets) | (found.targets < 0)
        if not kept.all():
            row, place = np.argwhere(~kept)[0]
            raise DataError(
                f"the list of entity {rows[row]} has target {found.targets[row, place]}, which is not allowed"
            )
        rows = np.ascontiguousarray(rows, np.int64)
        keys = example_keys(stream_key(self.seed, 0, f"exploration/{self.anchor}"), rows)
        placed = Placed(found.targets.copy(), found.scores.copy(), np.zeros(found.targets.shape, np.bool_))
        lists = placed.targets, placed.scores, placed.explored
        categories = np.zeros(0, np.int32) if diversity is None else diversity.categories
        cap = 0 if diversity is None else diversity.cap
        own = found.targets, found.scores
        _place_drawn(keep.arrays, keep.positions, keys, rows, self.share, categories, cap, *own, *lists)
        return placed


@njit(nogil=True, cache=True)
def _pool_numbers(arrays, positions, entity, targets):  # type: ignore[no-untyped-def]
    """Numbers of targets among those that mask and category let through; others are left out."""
    start, end = own_span(arrays, entity)
    marks = np.ones(targets.size, np.bool_)
    mark_pooled(arrays, entity, targets, marks)
    numbers = positions[targets[marks]]
    if arrays.category == ONLY:
        return numbers - start
    return np.where(numbers < start, numbers, numbers - (end - start))


@njit(nogil=True, cache=True)
def _skip(taken, count, number):  # type: ignore[no-untyped-def]
    """The number-th (from 0) that is not among the first ``count`` of ``taken``, ascending; it is put among them."""
    place = 0
    while place < count and taken[place] <= number:
        number += 1
        place += 1
    for j in range(count, place, -1):
        taken[j] = taken[j - 1]
    taken[place] = number
    return number


@njit(nogil=True, cache=True)
def _draw(key, slot, bound):  # type: ignore[no-untyped-def]
    """A random whole number under a bound."""
    whole = np.uint64(bound)
    return np.int64(multiply_high(draw_bits(key, slot), whole))  # type: ignore[arg-type]


@njit(nogil=True, cache=True)
def _choices(arrays, positions, entity, own):  # type: ignore[no-untyped-def]
    """What an entity may draw from: number of choices, and which of them, ascending, are out of the question."""
    if has_list(arrays, entity):
        targets = allow_list(arrays, entity)
        marks = np.ones(targets.size, np.bool_)
        mark_allowed(arrays, entity, targets, marks)
        mark_members(np.sort(own), targets, marks, False)
        return targets.size, np.flatnonzero(~marks)
    start, end = own_span(arrays, entity)
    size = end - start if arrays.category == ONLY else arrays.pool.size - (end - start)
    taken = _pool_numbers(arrays, positions, entity, own)
    if arrays.denied_indptr.size > 0:
        denied = arrays.denied[arrays.denied_indptr[entity] : arrays.denied_indptr[entity + 1]]
        taken = np.concatenate((taken, _pool_numbers(arrays, positions, entity, denied)))
    return size, np.sort(taken)


@njit(nogil=True, cache=True)
def _choice(arrays, entity, number):  # type: ignore[no-untyped-def]
    """The target that a choice stands for."""
    if has_list(arrays, entity):
        return allow_list(arrays, entity)[number]
    start, end = own_span(arrays, entity)
    if arrays.category == ONLY:
        return arrays.pool[start + number]
    return arrays.pool[number if number < start else number + end - start]


@njit(nogil=True, cache=True)
def _draw_targets(arrays, entity, key, size, taken, categories, cap, kept, drawn):  # type: ignore[no-untyped-def]
    """Fill ``drawn`` with choices that are not ``taken``, as many as there are; returns how many.

    With a cap, they are such as have room in their category beside those that are kept; after so many that have none,
    no more are tried.
    """
    tries = min(drawn.size if cap == 0 else TRIES * drawn.size, size - taken.size)
    left_out = np.concatenate((taken, np.empty(tries, np.int64)))
    count = 0
    for t in range(tries):
        if count == drawn.size:
            break
        out = taken.size + t
        target = _choice(arrays, entity, _skip(left_out, out, _draw(key, _TARGET_SLOT + t, size - out)))
        if cap > 0 and categories[target] >= 0:
            same = (categories[kept] == categories[target]).sum()
            if same + (categories[drawn[:count]] == categories[target]).sum() >= cap:
                continue
        drawn[count] = target
        count += 1
    return count


@njit(nogil=True, cache=True)
def _place_drawn(  # type: ignore[no-untyped-def]
    arrays, positions, keys, rows, share, categories, cap, found, known, targets, scores, explored
):
    k = targets.shape[1]
    spots, drawn = np.empty(k + 1, np.int64), np.empty(k, np.int64)
    for i in range(rows.size):
        held = 0
        while held < k and found[i, held] >= 0:
            held += 1
        size, taken = _choices(arrays, positions, rows[i], found[i, :held])
        wanted = int(share * held)
        wanted += _draw(keys[i], 0, 1 << 52) < (share * held - wanted) * (1 << 52)
        wanted = min(wanted, held, size - taken.size)
        while True:
            # Where fewer are found more are kept, beside which there may be room for fewer still.
            kept, own = found[i, : held - wanted], drawn[:wanted]
            count = _draw_targets(arrays, rows[i], keys[i], size, taken, categories, cap, kept, own)
            if count == wanted:
                break
            wanted = count
        for j in range(wanted):
            spot = _skip(spots, j, _draw(keys[i], _PLACE_SLOT + j, held - j))
            explored[i, spot] = True
        ranked = new = 0
        for spot in range(held):
            if explored[i, spot]:
                targets[i, spot], scores[i, spot] = drawn[new], np.nan
                new += 1
            else:
                targets[i, spot], scores[i, spot] = found[i, ranked], known[i, ranked]
                ranked += 1
