"""What shards ask of whatever runs their processes: nothing here knows of Ray."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from gnnscale.retrieval.index_shards.index_shard import TargetShard

T = TypeVar("T")

Question = Callable[[TargetShard], T]
"""Runs where the shard is; has to be pickled, and to answer the same when it is asked again."""

OpenShard = Callable[[int], TargetShard]
"""Makes a shard where it is to be, which has so many threads; has to be pickled."""


class ShardPool(Protocol):
    """Processes that hold a shard each; one that is lost is opened again elsewhere, and asked again."""

    def ask(self, questions: Mapping[int, Question[T]]) -> dict[int, T]:
        """Ask some shards, all at the same time; a question that several are asked travels once.

        Args:
            questions: number of the shard -> what it is asked.

        Returns:
            Number of the shard -> its answer.
        """


class StartShards(Protocol):
    """Starts the processes, and ends them with the context."""

    def __call__(self, opens: Sequence[OpenShard], needed: int) -> AbstractContextManager[ShardPool]:
        """A process for each shard.

        Args:
            opens: make the shards.
            needed: memory of each, bytes.

        Raises:
            GnnscaleError: there is not the room.
        """
