"""Which targets each entity may be given, decided before anything is ranked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import Ragged
from gnnscale.retrieval.filters.allow_lists import AllowLists, OwnCategory
from gnnscale.retrieval.filters.filter_kernels import (
    ANY,
    ONLY,
    OTHERS,
    FilterArrays,
    count_allowed,
    keep_allowed,
    list_allowed,
)
from gnnscale.sampling import read_only
from gnnscale.schema import DataError

_NO_ROWS = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Filter:
    """A target is given where every part lets it through.

    Args:
        mask: targets that may be given at all, bool ``[targets]``.
        denied: targets that each entity may not be given: what it has bought, its deny list; None for none.
        allowed: targets that some entities are held to; None for none.
        category: the entity's own category against the target's; None for any.

    Raises:
        DataError: the parts are of different numbers of entities or targets.
    """

    mask: NDArray[np.bool_]
    denied: Ragged | None = None
    allowed: AllowLists | None = None
    category: OwnCategory | None = None

    def __post_init__(self) -> None:
        lists = {"deny lists": self.denied, "allow lists": self.allowed.targets if self.allowed else None}
        entities = {name: len(rows) for name, rows in lists.items() if rows is not None}
        if self.category is not None:
            entities["categories"] = len(self.category.entities)
            if len(self.category.targets) != len(self.mask):
                raise DataError(f"{len(self.category.targets):,} targets have categories, of {len(self.mask):,}")
        if len(set(entities.values())) > 1:
            shown = ", ".join(f"{name} of {count:,}" for name, count in entities.items())
            raise DataError(f"the parts of a filter must be of as many entities: {shown}")
        for name, rows in lists.items():
            most = int(rows.values.max(initial=-1)) if rows is not None else -1
            if most >= len(self.mask):
                raise DataError(f"{name} have target {most}, and targets are 0 to {len(self.mask) - 1}")

    @property
    def targets(self) -> int:
        """Number of targets, allowed or not."""
        return len(self.mask)

    @property
    def entities(self) -> int | None:
        """Number of entities; None where all are treated alike."""
        if self.denied is not None:
            return len(self.denied)
        if self.allowed is not None:
            return len(self.allowed.targets)
        return len(self.category.entities) if self.category is not None else None

    def count_allowed(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Number of targets that each entity may be given.

        Args:
            rows: node ids of entities, ``[rows]``.

        Raises:
            DataError: there is no such entity.
        """
        counts: NDArray[np.int64] = count_allowed(self.arrays, self._checked(rows))
        return counts

    def allowed_of(self, rows: NDArray[np.int64]) -> Ragged:
        """The targets that each entity may be given; takes 8 bytes for each of them.

        Args:
            rows: node ids of entities, ``[rows]``.

        Raises:
            DataError: there is no such entity.
        """
        rows = self._checked(rows)
        indptr = np.concatenate([[0], np.cumsum(count_allowed(self.arrays, rows))]).astype(np.int64)
        return Ragged(indptr, list_allowed(self.arrays, rows, indptr))

    def keep(self, rows: NDArray[np.int64], targets: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which targets the entity of their row may be given.

        Args:
            rows: node ids of entities, ``[rows]``.
            targets: node ids, ``[rows, k]``; -1 is none.

        Returns:
            bool ``[rows, k]``.

        Raises:
            DataError: there is no such entity or target.
        """
        # Compiled code reads past an array's end without a word.
        if targets.max(initial=-1) >= self.targets:
            raise DataError(f"there is no target {targets.max()}: targets are 0 to {self.targets - 1}")
        kept: NDArray[np.bool_] = keep_allowed(self.arrays, self._checked(rows), np.asarray(targets, np.int64))
        return kept

    @cached_property
    def arrays(self) -> FilterArrays:
        """For compiled code."""
        mask = np.ascontiguousarray(self.mask, np.bool_)
        pool, starts, category = np.flatnonzero(mask), _NO_ROWS, ANY
        entity_codes = target_codes = np.zeros(0, np.int32)
        if self.category is not None:
            entity_codes, target_codes = self.category.entities, self.category.targets
            category = ONLY if self.category.only else OTHERS
            pool = pool[np.argsort(target_codes[pool], kind="stable")]
            starts = np.searchsorted(target_codes[pool], np.arange(self.category.codes + 1))
        denied = (self.denied.indptr, self.denied.values) if self.denied is not None else (_NO_ROWS, _NO_ROWS)
        lists, listed = (_NO_ROWS, _NO_ROWS), np.zeros(0, np.bool_)
        if self.allowed is not None:
            lists, listed = (self.allowed.targets.indptr, self.allowed.targets.values), self.allowed.listed
        return FilterArrays(
            read_only(mask),
            read_only(pool),
            read_only(starts),
            category,
            read_only(entity_codes),
            read_only(target_codes),
            read_only(denied[0]),
            read_only(denied[1]),
            read_only(listed),
            read_only(lists[0]),
            read_only(lists[1]),
        )

    @cached_property
    def positions(self) -> NDArray[np.int64]:
        """Where each target is in the pool of :attr:`arrays`, int64 ``[targets]``; -1 where the mask leaves it out."""
        positions = np.full(self.targets, -1, np.int64)
        positions[self.arrays.pool] = np.arange(self.arrays.pool.size)
        return positions

    def _checked(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        rows = np.ascontiguousarray(rows, np.int64)
        if self.entities is not None and rows.size and not 0 <= rows.min() <= rows.max() < self.entities:
            raise DataError(f"entities are 0 to {self.entities - 1}, not {rows.min()} to {rows.max()}")
        return rows
