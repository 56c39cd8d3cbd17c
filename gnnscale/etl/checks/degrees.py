"""How many rows name one parent: the exact distribution, from a histogram that is small whatever the table's size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import Column
from pyspark.sql import functions as F

QUANTILES = (50, 90, 99)
"""Shares in percent that are kept of the distribution."""


ENDS = ("matched", "dangling", "null")
"""What becomes of a key."""


def key_end(missing: Column, found: Column) -> Column:
    """Which of ``ENDS`` a key comes to: whether there is none; ``found`` is null where no parent has it."""
    return F.when(missing, "null").when(found.isNull(), "dangling").otherwise("matched")


@dataclass(frozen=True)
class DegreeHistogram:
    """Rows per key.

    Args:
        rows: ``matched``, ``dangling`` and ``null`` -> rows.
        degrees: numbers of rows that name a parent, ascending, int64 ``[degrees]``, from 0 on.
        parents: how many parents have each, int64 ``[degrees]``.
        example: a key that matches no parent, the smallest; None where there is none.
    """

    rows: dict[str, int]
    degrees: NDArray[np.int64]
    parents: NDArray[np.int64]
    example: Any

    @classmethod
    def of(cls, counted: Sequence[Any], parents: int) -> DegreeHistogram:
        """The histogram of counted keys.

        Args:
            counted: rows ``end`` (see :func:`key_end`), ``degree``, ``keys`` (that have it) and ``example``. E rows
                have at most ``sqrt(2 E)`` distinct degrees: 45,000 for a billion.
            parents: number of all parents.
        """
        rows = {end: sum(r["degree"] * r["keys"] for r in counted if r["end"] == end) for end in ENDS}
        matched = sorted((r["degree"], r["keys"]) for r in counted if r["end"] == "matched")
        named = sum(keys for _, keys in matched)
        degrees, keys = np.array([(0, parents - named), *matched], np.int64).T
        examples = [r["example"] for r in counted if r["end"] == "dangling" and r["example"] is not None]
        return cls(rows, degrees, keys, min(examples, default=None))

    @property
    def matched(self) -> int:
        """Parents that at least one row names."""
        return int(self.parents[1:].sum())

    @property
    def largest(self) -> int:
        """Most rows that name one parent."""
        return int(self.degrees[-1])

    def quantiles(self) -> dict[str, int]:
        """Share in percent -> the least degree that at least this share of the parents does not exceed."""
        upto = np.cumsum(self.parents)
        # In whole numbers: the share of a large count as a float may round past the next parent.
        ranks = [max(1, -(-int(upto[-1]) * share // 100)) for share in QUANTILES]
        at = np.minimum(np.searchsorted(upto, ranks), len(upto) - 1)
        return {str(share): int(degree) for share, degree in zip(QUANTILES, self.degrees[at], strict=True)}
