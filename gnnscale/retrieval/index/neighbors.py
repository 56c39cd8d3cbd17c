"""What a search finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Neighbors:
    """Nearest targets of each query, best first: int64 ids and float32 scores, both ``[queries, k]``.

    Larger scores are better. Where an index found fewer than ``k``, ids end in -1 and scores in minus infinity.
    """

    targets: NDArray[np.int64]
    scores: NDArray[np.float32]


def merge_neighbors(parts: Sequence[Neighbors], k: int) -> Neighbors:
    """The ``k`` best of what several indexes of different targets found for the same queries.

    Equal scores go to the smaller id.
    """
    targets = np.concatenate([part.targets for part in parts], axis=1)
    scores = np.concatenate([part.scores for part in parts], axis=1)
    order = np.lexsort((targets, -scores), axis=1)[:, :k]
    return Neighbors(np.take_along_axis(targets, order, 1), np.take_along_axis(scores, order, 1))
