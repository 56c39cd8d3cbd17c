"""Small logs of actions, made of NumPy alone."""

from __future__ import annotations

import numpy as np

from gnnscale.batches import ActionLog, KnownActions, SequenceBuilder
from gnnscale.store import NodeFeatures

DAY = 86_400
ITEMS = 20


def random_log(seed: int = 0, entities: int = 15, most: int = 30, timed: bool = True) -> ActionLog:
    """From none to many actions an entity; several share a time, and some name no item."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, most, entities)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    actions = int(indptr[-1])
    times = np.concatenate([np.sort(rng.integers(0, 40, n)) * DAY for n in counts]).astype(np.int32)
    rows = rng.permutation(actions).astype(np.int32)
    named = rng.random(actions) < 0.9
    target_indptr = np.concatenate([[0], np.cumsum(named)])
    codes = rng.integers(1, 3, (actions, 2)).astype(np.int32)
    return ActionLog(
        indptr,
        rows,
        target_indptr,
        rng.integers(0, ITEMS, int(named.sum())).astype(np.int32),
        times if timed else None,
        (codes, (1,)),
        (rng.random((actions, 1), np.float32), (0,)),
    )


def items(number: int = ITEMS) -> NodeFeatures:
    """Targets that nothing is known of."""
    return NodeFeatures(np.zeros((number, 0), np.float32), np.zeros((number, 0), np.int32), np.zeros(number, np.int32))


def known_until(log: ActionLog, day: int, length: int = 8, positive_codes: tuple[int, ...] = ()) -> KnownActions:
    """What is known at the end of a day."""
    until = day * DAY
    limits = log.end_at(np.arange(log.entities), np.full(log.entities, until))
    return KnownActions(log, limits, until, length, positive_codes)


def builder_of(log: ActionLog, length: int = 8) -> SequenceBuilder:
    """Reads sequences of at most so many actions."""
    return SequenceBuilder(log, items(), length)
