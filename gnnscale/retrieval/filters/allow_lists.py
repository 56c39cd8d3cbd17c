"""What narrows the targets of single entities: allow lists, and the entity's own category."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import Ragged
from gnnscale.schema import DataError


@dataclass(frozen=True, eq=False)
class AllowLists:
    """Targets that some entities are held to.

    Args:
        targets: of each entity, a row for each.
        listed: which entities have a list, bool ``[entities]``; the others are free. A list may be empty, and its
            entity then gets nothing.

    Raises:
        DataError: the lengths differ, or an entity without a list has targets.
    """

    targets: Ragged
    listed: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if len(self.listed) != len(self.targets):
            raise DataError(
                f"allow lists of {len(self.targets):,} entities, and {len(self.listed):,} marks of who has one"
            )
        stray = np.flatnonzero(~self.listed & (self.targets.counts > 0))
        if stray.size:
            raise DataError(f"entity {stray[0]} has targets in an allow list, and is not marked as having one")


@dataclass(frozen=True, eq=False)
class OwnCategory:
    """Targets compared with the entity by category; what has no category is of none, and equals nothing.

    Args:
        entities: code of each entity's category, int ``[entities]``, -1 for none.
        targets: code of each target's category, of the same codes, int ``[targets]``, -1 for none.
        only: True gives an entity nothing but targets of its own category (and nothing where it has none), False
            nothing of its own category.

    Raises:
        DataError: a code is under -1.
    """

    entities: NDArray[np.int32]
    targets: NDArray[np.int32]
    only: bool

    def __post_init__(self) -> None:
        for name in ("entities", "targets"):
            codes = np.ascontiguousarray(getattr(self, name), np.int32)
            object.__setattr__(self, name, codes)
            if codes.min(initial=0) < -1:
                raise DataError(f"category codes of {name} must be -1 or more, not {codes.min()}")

    @property
    def codes(self) -> int:
        """One more than the largest code."""
        return 1 + max(int(self.entities.max(initial=-1)), int(self.targets.max(initial=-1)))
