"""Shards in this process, for all that does not need others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from gnnscale.retrieval.index_shards.index_shard import TargetShard


class Pool:
    """Shards, and how often each was asked."""

    def __init__(self, shards: Sequence[TargetShard]) -> None:
        self.shards, self.asked = shards, [0] * len(shards)

    def ask(self, questions: Mapping[int, Callable[[TargetShard], Any]]) -> dict[int, Any]:
        for number in questions:
            self.asked[number] += 1
        return {number: question(self.shards[number]) for number, question in questions.items()}


@contextmanager
def start_workers_here(opens: Sequence[Callable[[int], TargetShard]], needed: int) -> Iterator[Pool]:
    """Opens the shards one after the other, with one thread each."""
    yield Pool([opened(1) for opened in opens])
