"""Targets in several shards, searched and scored together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import Ragged
from gnnscale.retrieval.index.neighbors import Neighbors, merge_neighbors
from gnnscale.retrieval.index.setting import IndexSetting
from gnnscale.retrieval.index_shards.index_shard import TargetShard
from gnnscale.retrieval.index_shards.shard_pool import Question, ShardPool
from gnnscale.retrieval.ranking.tower import Block
from gnnscale.schema import ConfigError, DataError

T = TypeVar("T")

NUMBERS = 16_000_000
"""Numbers of four bytes that a question and its answers hold, about."""


@dataclass(frozen=True, eq=False)
class Shards:
    """Consecutive stretches of targets, and the processes that hold them.

    Args:
        pool: asks them.
        bounds: first target of each stretch, and the one after its last.
        channels: of a vector.

    Raises:
        ConfigError: there are no stretches, or one does not begin where the one before it ends.
    """

    pool: ShardPool
    bounds: Sequence[tuple[int, int]]
    channels: int

    def __post_init__(self) -> None:
        ends = [0, *(stop for _, stop in self.bounds)]
        if not self.bounds or [start for start, _ in self.bounds] != ends[:-1]:
            raise ConfigError(f"stretches of shards are {list(self.bounds)}; each begins where the one before it ends")

    @property
    def size(self) -> int:
        """Number of targets."""
        return self.bounds[-1][1]

    def ask_all(self, question: Question[T]) -> list[T]:
        """What every shard answers, in order."""
        found = self.pool.ask(dict.fromkeys(range(len(self.bounds)), question))
        return [found[number] for number in range(len(self.bounds))]

    def best(self, method: Callable[..., Neighbors], queries: NDArray[np.float32], k: int) -> Neighbors:
        """The best of what all shards find, for some queries at a time; equal scores go to the smaller id.

        Args:
            method: takes a shard, ``queries`` and ``k``.
            queries: ``[queries, channels]``.
            k: targets wanted, at most as many as there are.

        Raises:
            DataError: queries and shards differ in channels.
        """
        if queries.shape[1] != self.channels:
            raise DataError(f"queries have {queries.shape[1]} channels and the index {self.channels}")
        k = min(k, self.size)
        step = max(1, NUMBERS // max(1, self.channels, 3 * k * len(self.bounds)))
        found = Neighbors(np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32))
        for start in range(0, len(queries), step):
            some = slice(start, start + step)
            part = merge_neighbors(self.ask_all(partial(method, queries=queries[some], k=k)), k)
            found.targets[some], found.scores[some] = part.targets, part.scores
        return found


@dataclass(frozen=True, eq=False)
class _OverShards:
    """What answers for the targets of all shards."""

    shards: Shards

    @property
    def size(self) -> int:
        """Number of targets."""
        return self.shards.size

    @property
    def channels(self) -> int:
        """Channels of a vector."""
        return self.shards.channels


@dataclass(frozen=True, eq=False)
class ShardedIndex(_OverShards):
    """The indexes of all shards as one.

    Args:
        shards: that hold them.
        built_by: setting that each was asked for by.
        setting: as built and searched; its width is that of each shard.
    """

    built_by: IndexSetting
    setting: IndexSetting

    @classmethod
    def build(cls, shards: Shards, setting: IndexSetting) -> Self:
        """Have every shard build an index, unless it has it.

        Shards may come to different numbers of clusters; the one that has most says how far the width goes.
        """
        built = shards.ask_all(partial(TargetShard.build, setting=setting))
        return cls(shards, setting, max(built, key=lambda own: own.most_width))

    @property
    def asked(self) -> IndexSetting:
        """What every shard is asked to be built and searched by."""
        return self.built_by.at_width(self.setting.search_width)

    def with_width(self, width: int) -> Self:
        """The same targets, each shard searched more or less thoroughly."""
        return replace(self, setting=self.setting.with_width(width))

    def search(self, queries: NDArray[np.float32], k: int) -> Neighbors:
        """The ``k`` best targets over all shards, at most as many as there are; equal scores go to the smaller id.

        Raises:
            DataError: queries and index differ in channels.
        """
        return self.shards.best(partial(TargetShard.search, setting=self.asked), queries, k)


@dataclass(frozen=True, eq=False)
class EveryShard(_OverShards):
    """Scores every target, each shard its own."""

    def search(self, queries: NDArray[np.float32], k: int) -> Neighbors:
        """The ``k`` best targets of all, as an exact index gives them."""
        return self.shards.best(TargetShard.exact, queries, k)


@dataclass(frozen=True, eq=False)
class ShardedVectors:
    """Vectors that stay where they are, and give scores: what :class:`TargetVectors` is for those of one process."""

    shards: Shards

    @property
    def shape(self) -> tuple[int, ...]:
        """Targets and channels."""
        return self.shards.size, self.shards.channels

    def score_listed(self, queries: NDArray[np.float32], listed: Ragged) -> NDArray[np.float32]:
        """Scores of some targets for each query; see :meth:`TargetVectors.score_listed`."""
        scores = np.empty(len(listed.values), np.float32)
        ends = [stop for _, stop in self.shards.bounds]
        held_by = np.searchsorted(ends, listed.values, side="right")
        row_of_value = listed.row_of_value
        questions: dict[int, Question[NDArray[np.float32]]] = {}
        positions = {}
        for number in np.unique(held_by).tolist():
            positions[number] = np.flatnonzero(held_by == number)
            # Queries without a target in the shard don't travel.
            asking, rows = np.unique(row_of_value[positions[number]], return_inverse=True)
            indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(asking)))])
            some = Ragged(indptr, listed.values[positions[number]])
            questions[number] = partial(TargetShard.score_listed, queries=queries[asking], listed=some)
        for number, found in self.shards.pool.ask(questions).items():
            scores[positions[number]] = found
        return scores

    def blocks(self, targets: int) -> Iterator[NDArray[np.int64]]:
        """All targets, about so many at a time, of which each shard has a part: all of them work on one block."""
        step = -(-targets // len(self.shards.bounds))
        longest = max(stop - start for start, stop in self.shards.bounds)
        for first in range(0, longest, step):
            parts = [np.arange(start + first, min(start + first + step, stop)) for start, stop in self.shards.bounds]
            yield np.concatenate(parts)

    def score_block(self, queries: NDArray[np.float32], targets: Block) -> NDArray[np.float32]:
        """Scores of the same targets (ids ascend) for all queries, float32 ``[queries, targets]``."""
        ids = np.arange(targets.start, targets.stop) if isinstance(targets, slice) else targets
        questions: dict[int, Question[NDArray[np.float32]]] = {}
        for number, bounds in enumerate(self.shards.bounds):
            first, stop = np.searchsorted(ids, bounds)
            own: Block = ids[first:stop]
            if first < stop:
                # What lies together is neither sent as ids nor gathered.
                if ids[stop - 1] - ids[first] == stop - first - 1:
                    own = slice(int(ids[first]), int(ids[stop - 1]) + 1)
                questions[number] = partial(TargetShard.score_block, queries=queries, targets=own)
        found = self.shards.pool.ask(questions)
        return np.concatenate([np.empty((len(queries), 0), np.float32), *(found[n] for n in questions)], axis=1)
