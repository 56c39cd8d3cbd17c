"""Targets in several indexes, searched together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gnnscale.retrieval.index.neighbors import Neighbors, merge_neighbors
from gnnscale.schema import ConfigError, DataError

Search = Callable[[NDArray[np.float32], int], Neighbors]
"""Asks one shard: queries ``[queries, channels]`` and k; ids are rows of the shard."""


class ShardedIndex:
    """Consecutive stretches of targets, each with an index of its own, here or on another machine.

    Args:
        shards: ask each stretch.
        sizes: targets of each.
        channels: of a vector.

    Raises:
        ConfigError: shards and sizes differ in number, or there are none.
    """

    def __init__(self, shards: Sequence[Search], sizes: Sequence[int], channels: int) -> None:
        if not shards or len(shards) != len(sizes):
            raise ConfigError(f"{len(shards)} shards with {len(sizes)} sizes; one size for each of at least one shard")
        self._shards, self.channels = tuple(shards), channels
        self._starts = np.concatenate([[0], np.cumsum(sizes)])

    @property
    def size(self) -> int:
        """Number of targets."""
        return int(self._starts[-1])

    def search(self, queries: NDArray[np.float32], k: int) -> Neighbors:
        """The ``k`` best targets over all shards, at most as many as there are; equal scores go to the smaller id.

        Raises:
            DataError: queries and index differ in channels.
        """
        if queries.shape[1] != self.channels:
            raise DataError(f"queries have {queries.shape[1]} channels and the index {self.channels}")
        with ThreadPoolExecutor(len(self._shards)) as pool:
            found = list(pool.map(lambda shard: shard(queries, k), self._shards))
        return merge_neighbors(
            [
                Neighbors(np.where(part.targets < 0, -1, part.targets + start), part.scores)
                for part, start in zip(found, self._starts, strict=False)
            ],
            min(k, self.size),
        )


def shard_bounds(targets: int, shards: int) -> list[tuple[int, int]]:
    """Stretches of targets of about equal length: first row, and the row after the last."""
    ends = np.linspace(0, targets, min(shards, targets) + 1).astype(np.int64)
    return [(int(a), int(b)) for a, b in pairwise(ends)]
