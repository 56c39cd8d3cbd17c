"""The best allowed targets of each entity: from an index while it is enough, else from the vectors of all allowed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import Ragged, share_rows
from gnnscale.retrieval.embeddings import PairScores
from gnnscale.retrieval.filters.diversity import Diversity
from gnnscale.retrieval.filters.filter import Filter
from gnnscale.retrieval.index.neighbors import Neighbors
from gnnscale.retrieval.ranking.topk_kernels import (
    DEEPER,
    DRY,
    Lists,
    Terms,
    judge,
    offer_block,
    offer_listed,
    offer_pairs,
    offer_shown,
    replace_scores,
)
from gnnscale.retrieval.ranking.tower import Block, VectorScores
from gnnscale.sampling import read_only
from gnnscale.schema import ConfigError, DataError

CELLS = 16_000_000
"""Numbers of an array that are held at once, about."""

BLOCK = 65_536
"""Targets that are scored at once where all are."""

GATHERED = 16
"""A vector that is scored for one entity costs as much as so many that are scored for many at once, about."""

DEEPEST_SHARE = 1 / 64
"""Share of the targets past which to score all costs less than an index that shows so many."""


class VectorIndex(Protocol):
    """What is searched; a larger score is better."""

    @property
    def size(self) -> int:
        """Number of targets."""

    @property
    def channels(self) -> int:
        """Channels of a vector."""

    def search(self, queries: NDArray[np.float32], k: int) -> Neighbors:
        """``[queries, k]``, best first, no target twice; -1 and -inf at the end where the index shows fewer."""


@dataclass(frozen=True, eq=False)
class AllowedSearch:
    """All that the batches of a run share.

    Args:
        index: over all targets, allowed or not.
        keep: which targets each entity may be given.
        vectors: what the index was built of. None: the index alone answers, and lists are sure to be complete only
            where it is exact.
        pairs: scores that stand instead of the tower's; None for the tower alone.
        diversity: most of one category in a list; None for any number.
        exact: whether the index is. Then ties go to the smaller target, even past the depth.
        deepest: most targets that the index can be asked for; None for any number.
        threads: that share the rows of a batch, beside those of the index itself.

    Raises:
        ConfigError: the index can't be asked for all targets, and there are no vectors.
        DataError: the parts are of different numbers of targets, entities or channels.
    """

    index: VectorIndex
    keep: Filter
    vectors: VectorScores | None = None
    pairs: PairScores | None = None
    diversity: Diversity | None = None
    exact: bool = True
    deepest: int | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        size, entities = self.index.size, self.keep.entities
        if self.deepest is not None and self.vectors is None:
            raise ConfigError(f"an index that shows at most {self.deepest} targets needs their vectors beside it")
        if self.vectors is not None and self.vectors.shape != (size, self.index.channels):
            wanted = f"[{size}, {self.index.channels}]"
            raise DataError(f"vectors are {list(self.vectors.shape)}, and the index is of {wanted}")
        if self.keep.targets != size:
            raise DataError(f"the filter is of {self.keep.targets:,} targets, and the index of {size:,}")
        if self.diversity is not None and len(self.diversity.categories) != size:
            raise DataError(f"{len(self.diversity.categories):,} targets have categories, and the index has {size:,}")
        if self.pairs is not None and entities not in (None, len(self.pairs.counts)):
            raise DataError(f"the filter is of {entities:,} entities, and the pairs of {len(self.pairs.counts):,}")

    def search(self, queries: NDArray[np.float32], rows: NDArray[np.int64], k: int, depth: int) -> Neighbors:
        """The best allowed targets of each entity, as if every target had been scored.

        There are fewer than ``k`` only where fewer are allowed, or fit under the diversity cap. Where few targets are
        allowed, those are scored from their vectors. Else the index is asked, twice as deep each time, until what it
        has not shown is worse than the list; where it runs dry before, or would have to show a large share of the
        targets, all that are allowed are scored, in blocks of bounded memory.

        Args:
            queries: tower vectors of the entities, ``[len(rows), channels]``.
            rows: which entities these are.
            k: targets wanted.
            depth: targets that the index is asked for at first.

        Returns:
            ``[len(rows), min(k, targets)]``, best first, ties to the smaller target; -1 and -inf where there are fewer.

        Raises:
            DataError: there is no such entity, or queries have another number of channels.
        """
        rows = self._checked(queries, rows)
        queries = np.ascontiguousarray(queries, np.float32)
        counts = self.keep.count_allowed(rows)
        lists = Lists.empty(rows, min(k, self.index.size))
        if self.vectors is None:
            self._deepen(lists, queries, np.flatnonzero(counts > 0), counts, depth)
            return Neighbors(lists.best, lists.scores)
        # To find k targets, the index would have to show some k * size / count.
        few = counts * counts <= lists.best.shape[1] * self.index.size
        alone = few & (counts * GATHERED <= len(self.keep.arrays.pool))
        self._score_few(self.vectors, lists, queries, np.flatnonzero(alone & (counts > 0)), counts)
        unsettled = self._deepen(lists, queries, np.flatnonzero(~few), counts, depth)
        together = np.concatenate([np.flatnonzero(few & ~alone), unsettled])
        self._score_all(self.vectors, lists, queries, together)
        return Neighbors(lists.best, lists.scores)

    def score(
        self, queries: NDArray[np.float32], rows: NDArray[np.int64], targets: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """What one target of each entity would be ranked by, whether or not it is allowed.

        Args:
            queries: tower vectors of the entities, ``[len(rows), channels]``.
            rows: which entities these are.
            targets: int64 ``[len(rows)]``.

        Returns:
            float32 ``[len(rows)]``.

        Raises:
            ConfigError: there are no vectors.
            DataError: there is no such entity, or queries have another number of channels.
        """
        rows = self._checked(queries, rows)
        if self.vectors is None:
            raise ConfigError("single targets can't be scored without the vectors of all")
        one_each = Ragged(np.arange(len(rows) + 1), targets)
        scores = self.vectors.score_listed(np.ascontiguousarray(queries, np.float32), one_each)
        replace_scores(self.terms, rows, one_each.values, scores)
        return scores

    @cached_property
    def terms(self) -> Terms:
        """For compiled code."""
        none = np.zeros(0, np.int64)
        pairs = self.pairs or PairScores(none, none, np.zeros(0, np.float32))
        categories, cap = np.zeros(0, np.int32), 0
        if self.diversity is not None:
            categories, cap = self.diversity.categories, self.diversity.cap
        own = read_only(pairs.indptr), read_only(pairs.targets), read_only(pairs.scores)
        return Terms(self.keep.arrays, *own, read_only(categories), cap)

    @cached_property
    def _longest(self) -> int:
        return self.diversity.longest(self.keep.mask) if self.diversity is not None else self.index.size

    def _checked(self, queries: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.int64]:
        if queries.shape != (len(rows), self.index.channels):
            wanted = f"[{len(rows)}, {self.index.channels}]"
            raise DataError(f"queries are {list(queries.shape)}, and must be {wanted}")
        rows = np.ascontiguousarray(rows, np.int64)
        entities = len(self.pairs.counts) if self.pairs is not None else None
        if entities is not None and rows.size and not 0 <= rows.min() <= rows.max() < entities:
            raise DataError(f"entities are 0 to {entities - 1}, not {rows.min()} to {rows.max()}")
        return rows

    def _deepen(
        self,
        lists: Lists,
        queries: NDArray[np.float32],
        left: NDArray[np.int64],
        counts: NDArray[np.int64],
        depth: int,
    ) -> NDArray[np.int64]:
        """Ask the index until the lists are settled; returns those that it can't settle."""
        size, k = self.index.size, lists.best.shape[1]
        deepest = size if self.vectors is None else max(int(size * DEEPEST_SHARE), depth, k)
        deepest = min(deepest, size, self.deepest or size)
        depth = min(max(depth, k), deepest)
        unsettled = []
        while left.size:
            step = max(1, CELLS // depth)
            parts = [left[start : start + step] for start in range(0, len(left), step)]
            verdicts = np.concatenate([self._ask(lists, queries, part, counts, depth) for part in parts])
            unsettled.append(left[verdicts == DRY])
            left = left[verdicts == DEEPER]
            if depth == deepest:
                unsettled.append(left)
                break
            depth = min(2 * depth, deepest)
        return np.concatenate([*unsettled, left[:0]])

    def _ask(
        self,
        lists: Lists,
        queries: NDArray[np.float32],
        which: NDArray[np.int64],
        counts: NDArray[np.int64],
        depth: int,
    ) -> NDArray[np.int8]:
        shown = self.index.search(queries[which], depth)
        part = lists.take(which)
        share_rows(len(which), self.threads, partial(self._offer_shown, part, shown))
        lists.put(which, part)
        longest = min(part.best.shape[1], self._longest)
        verdicts: NDArray[np.int8] = judge(
            part, shown.targets, shown.scores, counts[which], longest, self.index.size, self.exact
        )
        return verdicts

    def _offer_shown(self, lists: Lists, shown: Neighbors, stretch: slice) -> None:
        own = lists.cut(stretch)
        offer_pairs(self.terms, own)
        offer_shown(self.terms, own, shown.targets[stretch], shown.scores[stretch])

    def _score_few(
        self,
        vectors: VectorScores,
        lists: Lists,
        queries: NDArray[np.float32],
        which: NDArray[np.int64],
        counts: NDArray[np.int64],
    ) -> None:
        """Fill lists from vectors of allowed targets, gathered for some entities at a time."""

        def fill(stretch: slice) -> None:
            own = which[stretch]
            numbers = np.cumsum(counts[own]) * self.index.channels // CELLS
            for part in np.split(own, np.flatnonzero(np.diff(numbers)) + 1):
                taken = lists.take(part)
                listed = self.keep.allowed_of(taken.rows)
                offer_pairs(self.terms, taken)
                tower = vectors.score_listed(queries[part], listed)
                offer_listed(self.terms, taken, listed.indptr, listed.values, tower)
                lists.put(part, taken)

        share_rows(len(which), self.threads, fill)

    def _score_all(
        self, vectors: VectorScores, lists: Lists, queries: NDArray[np.float32], which: NDArray[np.int64]
    ) -> None:
        """Fill lists from vectors of all targets that may be given at all, a block of them at a time."""
        step = max(1, CELLS // BLOCK)
        for start in range(0, len(which), step):
            part = which[start : start + step]
            taken = lists.take(part)
            offer_pairs(self.terms, taken)
            for targets in self._blocks(vectors):
                tower = vectors.score_block(queries[part], targets)
                ids = np.arange(targets.start, targets.stop) if isinstance(targets, slice) else targets
                share_rows(len(part), self.threads, partial(self._offer_block, taken, ids, tower))
            lists.put(part, taken)

    def _blocks(self, vectors: VectorScores) -> Iterator[Block]:
        """The targets that may be given at all, and others where to leave them out would cost more."""
        pool = self.keep.arrays.pool
        if GATHERED * len(pool) > self.index.size:
            return vectors.blocks(BLOCK)
        return (pool[first : first + BLOCK] for first in range(0, len(pool), BLOCK))

    def _offer_block(
        self, lists: Lists, targets: NDArray[np.int64], tower: NDArray[np.float32], stretch: slice
    ) -> None:
        offer_block(self.terms, lists.cut(stretch), targets, tower[stretch])
