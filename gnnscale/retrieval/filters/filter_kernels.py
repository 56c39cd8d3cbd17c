"""A filter as compiled code sees it: which of some targets are allowed, how many are, and which those are.

Targets are judged a row at a time: a call for each of them would cost more than the answer, since every array that is
passed on is counted as held and let go again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

ANY, ONLY, OTHERS = 0, 1, 2
"""Targets of any category, only of the entity's own, only of others."""


class FilterArrays(NamedTuple):
    """Arrays of :class:`~gnnscale.retrieval.filters.filter.Filter`; parts that it lacks have no entries.

    Args:
        mask: bool ``[targets]``.
        pool: targets that the mask lets through, by category and then id where there is a category rule, else by id.
        starts: where each category starts in ``pool``, ``[codes + 1]``.
        category: ``ANY``, ``ONLY`` or ``OTHERS``.
        entity_codes, target_codes: categories, -1 for none.
        denied_indptr, denied: CSR of entity -> targets.
        listed: which entities have an allow list.
        allowed_indptr, allowed: CSR of entity -> targets.
    """

    mask: NDArray[np.bool_]
    pool: NDArray[np.int64]
    starts: NDArray[np.int64]
    category: int
    entity_codes: NDArray[np.int32]
    target_codes: NDArray[np.int32]
    denied_indptr: NDArray[np.int64]
    denied: NDArray[np.int64]
    listed: NDArray[np.bool_]
    allowed_indptr: NDArray[np.int64]
    allowed: NDArray[np.int64]


@njit(nogil=True, cache=True)
def mark_members(ascending, targets, marks, wanted):  # type: ignore[no-untyped-def]
    """Clear the marks of targets that are in a list where they should not be, or the other way round.

    Args:
        ascending: the list.
        targets: ``[n]``.
        marks: bool ``[n]``, changed in place.
        wanted: whether marked targets should be in the list.
    """
    for j in range(targets.size):
        if marks[j]:
            low, high = 0, ascending.size
            while low < high:
                middle = (low + high) >> 1
                if ascending[middle] < targets[j]:
                    low = middle + 1
                else:
                    high = middle
            marks[j] = (low < ascending.size and ascending[low] == targets[j]) == wanted


@njit(nogil=True, cache=True)
def mark_pooled(arrays, entity, targets, marks):  # type: ignore[no-untyped-def]
    """Clear the marks of targets, -1 or more, that mask or category keep from an entity."""
    mask = arrays.mask
    for j in range(targets.size):
        marks[j] = marks[j] and targets[j] >= 0 and mask[targets[j]]
    if arrays.category != ANY:
        codes, code, only = arrays.target_codes, arrays.entity_codes[entity], arrays.category == ONLY
        for j in range(targets.size):
            if marks[j]:
                marks[j] = (code >= 0 and code == codes[targets[j]]) == only


@njit(nogil=True, cache=True)
def mark_undenied(arrays, entity, targets, marks):  # type: ignore[no-untyped-def]
    """Clear the marks of targets on an entity's deny list."""
    if arrays.denied_indptr.size > 0:
        denied = arrays.denied[arrays.denied_indptr[entity] : arrays.denied_indptr[entity + 1]]
        mark_members(denied, targets, marks, False)


@njit(nogil=True, cache=True)
def has_list(arrays, entity):  # type: ignore[no-untyped-def]
    """Whether an entity has an allow list."""
    return arrays.listed.size > 0 and arrays.listed[entity]


@njit(nogil=True, cache=True)
def allow_list(arrays, entity):  # type: ignore[no-untyped-def]
    """An entity's allow list, ascending."""
    return arrays.allowed[arrays.allowed_indptr[entity] : arrays.allowed_indptr[entity + 1]]


@njit(nogil=True, cache=True)
def mark_allowed(arrays, entity, targets, marks):  # type: ignore[no-untyped-def]
    """Clear the marks of targets, -1 or more, that an entity may not be given."""
    mark_pooled(arrays, entity, targets, marks)
    mark_undenied(arrays, entity, targets, marks)
    if has_list(arrays, entity):
        mark_members(allow_list(arrays, entity), targets, marks, True)


@njit(nogil=True, cache=True)
def own_span(arrays, entity):  # type: ignore[no-untyped-def]
    """Where the targets of an entity's own category are in the pool: first, and one past the last."""
    if arrays.category == ANY or arrays.entity_codes[entity] < 0:
        return 0, 0
    code = arrays.entity_codes[entity]
    return arrays.starts[code], arrays.starts[code + 1]


@njit(nogil=True, cache=True)
def _pooled(arrays, entity):  # type: ignore[no-untyped-def]
    """The targets that mask and category let through, in the order of the pool."""
    start, end = own_span(arrays, entity)
    if arrays.category == ONLY:
        return arrays.pool[start:end].copy()
    return np.concatenate((arrays.pool[:start], arrays.pool[end:]))


@njit(nogil=True, cache=True)
def count_allowed(arrays, rows):  # type: ignore[no-untyped-def]
    """Number of targets that each entity may be given."""
    counts = np.empty(rows.size, np.int64)
    for i in range(rows.size):
        entity = rows[i]
        if has_list(arrays, entity):
            targets = allow_list(arrays, entity)
            marks = np.ones(targets.size, np.bool_)
            mark_allowed(arrays, entity, targets, marks)
            counts[i] = marks.sum()
            continue
        start, end = own_span(arrays, entity)
        counts[i] = end - start if arrays.category == ONLY else arrays.pool.size - (end - start)
        if arrays.denied_indptr.size > 0:
            targets = arrays.denied[arrays.denied_indptr[entity] : arrays.denied_indptr[entity + 1]]
            marks = np.ones(targets.size, np.bool_)
            mark_pooled(arrays, entity, targets, marks)
            counts[i] -= marks.sum()
    return counts


@njit(nogil=True, cache=True)
def list_allowed(arrays, rows, indptr):  # type: ignore[no-untyped-def]
    """The targets that each entity may be given, ascending, row after row."""
    found = np.empty(indptr[-1], np.int64)
    for i in range(rows.size):
        entity = rows[i]
        targets = allow_list(arrays, entity).copy() if has_list(arrays, entity) else _pooled(arrays, entity)
        marks = np.ones(targets.size, np.bool_)
        mark_allowed(arrays, entity, targets, marks)
        own = found[indptr[i] : indptr[i + 1]]
        at = 0
        for j in range(targets.size):
            if marks[j]:
                own[at] = targets[j]
                at += 1
        if arrays.category == OTHERS:
            # The pool is in order of category.
            own.sort()
    return found


@njit(nogil=True, cache=True)
def keep_allowed(arrays, rows, targets):  # type: ignore[no-untyped-def]
    """Which targets each entity may be given; -1 is none."""
    kept = np.ones(targets.shape, np.bool_)
    for i in range(rows.size):
        mark_allowed(arrays, rows[i], targets[i], kept[i])
    return kept
