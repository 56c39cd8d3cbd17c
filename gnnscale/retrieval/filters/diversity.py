"""Diversity: at most so many targets of one category in a list."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnnscale.schema import ConfigError, DataError


@dataclass(frozen=True, eq=False)
class Diversity:
    """A list takes targets best first, and skips one whose category has its share already.

    It looks as far down the ranking as it must: a list is shorter than it was asked to be only where the allowed
    targets can't fill it under the cap.

    Args:
        categories: code of each target's category, int ``[targets]``; any number of targets without one (-1) may be
            in a list.
        cap: most targets of one category.

    Raises:
        ConfigError: the cap is under 1.
        DataError: a code is under -1.
    """

    categories: NDArray[np.int32]
    cap: int

    def __post_init__(self) -> None:
        if self.cap < 1:
            raise ConfigError(f"the diversity cap is {self.cap}, and must be 1 or more")
        codes = np.ascontiguousarray(self.categories, np.int32)
        object.__setattr__(self, "categories", codes)
        if codes.min(initial=0) < -1:
            raise DataError(f"category codes must be -1 or more, not {codes.min()}")

    def longest(self, mask: NDArray[np.bool_]) -> int:
        """Length that no list passes, whatever the entity.

        Args:
            mask: targets that any entity may be given, bool ``[targets]``.
        """
        counts = np.bincount(self.categories[mask] + 1)
        return int(counts[:1].sum() + np.minimum(counts[1:], self.cap).sum())
