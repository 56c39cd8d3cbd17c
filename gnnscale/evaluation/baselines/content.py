"""The baselines of content alone: targets whose columns say what those say that the entity has had."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from gnnscale.arrays import Ids
from gnnscale.config import Settings
from gnnscale.evaluation.baselines.baseline import LinkBaseline
from gnnscale.evaluation.baselines.link_baselines import popularity
from gnnscale.evaluation.comparison import Part
from gnnscale.evaluation.list_comparison import PARTS
from gnnscale.retrieval import Catalog, History
from gnnscale.schema import BASELINES
from gnnscale.store import NodeFeatures

BLOCK_SCORES: Final = 1 << 24
"""Scores that are looked at together: 64 MiB."""

Scores = NDArray[np.float32]

_VECTORS: WeakKeyDictionary[Catalog, scipy.sparse.csr_matrix] = WeakKeyDictionary()


@dataclass(frozen=True, kw_only=True)
class Content(LinkBaseline):
    """A baseline that ranks targets by the cosine of their columns with those of what the entity has had.

    Each column counts the same: a number within five deviations, a category as one of many, a vector as it is, of
    length 1. Of an entity without a past, what is popular.

    Args:
        nearest: whether a target is compared with the nearest of what was had; else with the mean of all, weighed by
            events.
    """

    nearest: bool

    def lists(self, settings: Settings, history: History, entities: Ids, k: int) -> dict[Part, Ids]:
        """The nearest of all targets, of those that an entity has had, and of the others."""
        return {part: ranked for part, (ranked, _) in self._ranked(history, entities, k, PARTS).items()}

    def scored_lists(
        self, settings: Settings, history: History, entities: Ids, k: int, among: Part = "all"
    ) -> tuple[Ids, Scores]:
        """The nearest, by their cosines."""
        return self._ranked(history, entities, k, (among,))[among]

    def _ranked(self, history: History, entities: Ids, k: int, parts: Sequence[Part]) -> dict[Part, tuple[Ids, Scores]]:
        """Targets and scores, both ``[entities, k]``, of each part."""
        assert history.catalog is not None
        shape = len(entities), k
        lists = {part: (np.full(shape, -1, np.int64), np.full(shape, -np.inf, np.float32)) for part in parts}
        for rows, close in self._compared(history, content_of(history.catalog), entities):
            past = history.past.take(entities[rows])
            had = np.zeros(close.shape, np.bool_)
            had[past.row_of_value, past.values] = True
            close[:, ~history.catalog.there] = -np.inf
            for part, (ranked, scores) in lists.items():
                allowed = close if part == "all" else np.where(had == (part == "repeat"), close, -np.inf)
                best, found = _first(allowed, min(k, close.shape[1]))
                ranked[rows, : best.shape[1]], scores[rows, : best.shape[1]] = best, found
        new = np.flatnonzero(history.past.counts[entities] == 0)
        for part, (ranked, scores) in lists.items():
            if len(new):
                ranked[new] = popularity(history, k, among=part)[entities[new]]
                scores[new] = np.where(ranked[new] >= 0, np.float32(0), -np.inf)
        return lists

    def _compared(
        self, history: History, vectors: scipy.sparse.csr_matrix, entities: Ids
    ) -> Iterator[tuple[slice, Scores]]:
        """Cosines of blocks of entities with all targets, ``[block, targets]``."""
        step = max(1, BLOCK_SCORES // max(1, vectors.shape[0]))
        shape = history.n_entities, history.n_items
        counts = scipy.sparse.coo_matrix((np.ones(len(history.item)), (history.entity, history.item)), shape).tocsr()
        every = np.asarray(vectors.T.todense(), np.float32)
        for start in range(0, len(entities), step):
            part = slice(start, start + step)
            if self.nearest:
                rows = [_nearest(vectors, history.past.row(int(entity)), every) for entity in entities[part]]
                yield part, np.stack(rows)
            else:
                means = np.asarray((counts[entities[part]] @ vectors).todense(), np.float32)
                yield part, _unit(means) @ every


def _first(scores: Scores, width: int) -> tuple[Ids, Scores]:
    """The best of each row and their scores, ``[rows, width]``, ties to the smaller; -1 where there are fewer."""
    best = np.argpartition(-scores, width - 1, axis=1)[:, :width]
    found = np.take_along_axis(scores, best, axis=1)
    order = np.lexsort((best, -found), axis=1)
    found = np.take_along_axis(found, order, axis=1)
    return np.where(np.isfinite(found), np.take_along_axis(best, order, axis=1), -1), found


def _nearest(vectors: scipy.sparse.csr_matrix, own: Ids, every: Scores) -> Scores:
    """Of each target, the largest cosine with one of some; ``[targets]``."""
    best = np.full(every.shape[1], -1, np.float32)
    for start in range(0, len(own), 64):
        close = np.asarray(vectors[own[start : start + 64]].todense(), np.float32) @ every
        best = np.maximum(best, close.max(axis=0, initial=-1))
    return best


def content_of(catalog: Catalog) -> scipy.sparse.csr_matrix:
    """Vectors of all targets, float32 ``[targets, dims]``, of length 1; zeros where a target says nothing."""
    if catalog not in _VECTORS:
        _VECTORS[catalog] = content_vectors(catalog.items)
    return _VECTORS[catalog]


def content_vectors(items: NodeFeatures) -> scipy.sparse.csr_matrix:
    """Columns as vectors of length 1, float32 ``[rows, dims]``."""
    rows = len(items.times)
    parts = []
    if items.numerical.shape[1]:
        # Of deviation 1 as they are encoded: a squared distance of 2 on the average, as between two categories.
        parts.append(scipy.sparse.csr_matrix(np.clip(items.numerical, -5, 5)))
    for codes in np.asarray(items.categorical).T:
        at = np.flatnonzero(codes > 0)
        shape = rows, int(codes.max(initial=0)) + 1
        parts.append(scipy.sparse.csr_matrix((np.ones(len(at), np.float32), (at, codes[at])), shape))
    for lists in items.multicategorical:
        share = 1 / np.sqrt(np.maximum(lists.counts, 1))[lists.row_of_value]
        shape = rows, int(lists.values.max(initial=0)) + 1
        parts.append(scipy.sparse.csr_matrix((share, (lists.row_of_value, lists.values)), shape))
    parts += [scipy.sparse.csr_matrix(_unit(np.asarray(column, np.float32))) for column in items.embedded]
    if not parts:
        return scipy.sparse.csr_matrix((rows, 1), dtype=np.float32)
    whole = scipy.sparse.hstack(parts, format="csr").astype(np.float32)
    lengths = np.sqrt(np.asarray(whole.multiply(whole).sum(axis=1)).ravel())
    return scipy.sparse.diags(1 / np.maximum(lengths, 1e-6)).dot(whole).tocsr().astype(np.float32)


def _unit(vectors: Scores) -> Scores:
    """Vectors ``[rows, dims]`` of length 1; zeros stay."""
    found: Scores = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    return found


for _name, _title, _meaning, _is_nearest in (
    ("content", "Content alone", "Targets like the mean of what the entity has had, by their columns.", False),
    (
        "nearest_content",
        "Nearest content",
        "Targets like one of those that the entity has had, by their columns.",
        True,
    ),
):
    BASELINES.register(_name)(Content(_name, _title, _meaning, nearest=_is_nearest))
