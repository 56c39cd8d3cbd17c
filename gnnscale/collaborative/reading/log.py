"""Interactions as they were read: one row each, of a user and an item by number."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gnnscale.arrays import Ids


class Part(IntEnum):
    """What an interaction is for."""

    TRAIN = 0
    VALIDATION = 1
    TEST = 2


PART_WORDS = {
    "test": Part.TEST,
    "testing": Part.TEST,
    "validation": Part.VALIDATION,
    "valid": Part.VALIDATION,
    "val": Part.VALIDATION,
    "dev": Part.VALIDATION,
}
"""What files and columns call a part; all else is for training."""


@dataclass(frozen=True, eq=False)
class InteractionLog:
    """E interactions, in any order.

    Args:
        user: number of the user, int64 ``[E]``.
        item: number of the item, int64 ``[E]``.
        user_keys: keys of the users, by their numbers.
        item_keys: keys of the items, by their numbers.
        weight: how much each counts, float32 ``[E]``; below 0 where it counts against the pair.
        is_target: whether it is one that should be foretold, bool ``[E]``.
        time: int64 ``[E]``, growing with time; None where that is not known.
        part: of a given split, int8 ``[E]`` of :class:`Part`; None where none is given.
    """

    user: Ids
    item: Ids
    user_keys: pa.Array
    item_keys: pa.Array
    weight: NDArray[np.float32]
    is_target: NDArray[np.bool_]
    time: Ids | None = None
    part: NDArray[np.int8] | None = None

    def __len__(self) -> int:
        return len(self.user)
