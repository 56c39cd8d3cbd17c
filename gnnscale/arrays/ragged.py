"""Rows of different lengths as two flat arrays (CSR): what an entity bought, or codes of a multicategorical column."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import InitVar, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from gnnscale.schema import DataError

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Ragged:
    """A set of ids >= 0 for each of N rows; ids ascend within a row and don't repeat.

    Args:
        indptr: where each row starts in ``values``, int64 ``[N + 1]``; ``indptr[0]`` is 0.
        values: the ids of all rows, row after row, int64 ``[M]``.
        checked: whether the arrays are looked at, and made int64. What is not stays as it is: mapped from a file, of
            another integer type, or of rows in another order, of which :meth:`contains` and what makes sets of rows
            know nothing.

    Raises:
        DataError: ``indptr`` doesn't fit ``values``, or a row isn't ascending, repeats an id or has one < 0.
    """

    indptr: Ids
    values: npt.NDArray[Any]
    checked: InitVar[bool] = True

    def __post_init__(self, checked: bool) -> None:
        if not checked:
            return
        indptr = np.asarray(self.indptr, dtype=np.int64)
        values = np.asarray(self.values, dtype=np.int64)
        object.__setattr__(self, "indptr", indptr)
        object.__setattr__(self, "values", values)
        if indptr.ndim != 1 or indptr.size == 0 or indptr[0] != 0 or indptr[-1] != values.size:
            raise DataError(f"indptr must run from 0 to the number of values, {values.size}")
        if (np.diff(indptr) < 0).any():
            raise DataError("indptr must not fall")
        rows = self.row_of_value
        ascending = (np.diff(values) > 0) | (np.diff(rows) > 0)
        faults = np.flatnonzero(~ascending)
        if faults.size:
            raise DataError(f"row {rows[faults[0]]}: ids must ascend and not repeat")
        if values.size and values.min() < 0:
            raise DataError(f"row {rows[values.argmin()]}: id {values.min()} is negative")

    @classmethod
    def from_lists(cls, lists: Sequence[Iterable[int]]) -> Self:
        """Build from one iterable of ids per row; order and repeats don't matter.

        Raises:
            DataError: an id is negative.
        """
        sets = [sorted(set(ids)) for ids in lists]
        indptr = np.cumsum([0, *map(len, sets)], dtype=np.int64)
        return cls(indptr, np.array([i for ids in sets for i in ids], dtype=np.int64))

    @classmethod
    def from_pairs(cls, rows: npt.ArrayLike, values: npt.ArrayLike, n_rows: int) -> Self:
        """Build from (row, id) pairs in any order; a pair that occurs twice counts once.

        Args:
            rows: row of each pair, ints ``[E]`` in ``0 .. n_rows - 1``.
            values: id of each pair, ints ``[E]``, >= 0.
            n_rows: number of rows, N.

        Raises:
            DataError: the lengths differ, a row is outside its range or an id is negative.
        """
        row, value = np.asarray(rows, dtype=np.int64), np.asarray(values, dtype=np.int64)
        if row.shape != value.shape or row.ndim != 1:
            raise DataError(f"rows and values must be flat and as long: got {row.shape} and {value.shape}")
        if row.size and not 0 <= row.min() <= row.max() < n_rows:
            raise DataError(f"rows must be in 0 .. {n_rows - 1}: got {row.min()} .. {row.max()}")
        order = np.lexsort((value, row))
        row, value = row[order], value[order]
        new = np.ones(row.size, dtype=np.bool_)
        new[1:] = (row[1:] != row[:-1]) | (value[1:] != value[:-1])
        return cls._from_sorted(row[new], value[new], n_rows)

    @classmethod
    def _from_sorted(cls, row: Ids, value: Ids, n_rows: int) -> Self:
        counts = np.bincount(row, minlength=n_rows)
        return cls(np.concatenate(([0], np.cumsum(counts))).astype(np.int64), value)

    def __len__(self) -> int:
        return self.indptr.size - 1

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, Ragged):
            return NotImplemented
        return np.array_equal(self.indptr, other.indptr) and np.array_equal(self.values, other.values)

    __hash__ = None  # type: ignore[assignment]

    @property
    def counts(self) -> Ids:
        """Number of ids in each row, int64 ``[N]``."""
        return np.diff(self.indptr)

    @property
    def row_of_value(self) -> Ids:
        """Row of each entry of ``values``, int64 ``[M]``."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.counts)

    def row(self, i: int) -> npt.NDArray[Any]:
        """The ids of row ``i``, ascending, int64 ``[counts[i]]``.

        Raises:
            DataError: there is no such row.
        """
        if not 0 <= i < len(self):
            raise DataError(f"row {i} is outside 0 .. {len(self) - 1}")
        return self.values[self.indptr[i] : self.indptr[i + 1]]

    def take(self, rows: npt.NDArray[Any]) -> Ragged:
        """The given rows, int ``[R]``, in the given order, as a Ragged of R rows in memory; values keep their type."""
        starts = np.asarray(self.indptr[rows])
        counts = self.indptr[rows + 1] - starts
        indptr = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(counts, out=indptr[1:])
        # where value j of the result lies here: its row's start, plus its index in that row
        source = np.repeat(starts - indptr[:-1], counts) + np.arange(indptr[-1])
        return Ragged(indptr, np.asarray(self.values[source]), checked=False)

    def padded(self, rows: npt.NDArray[Any], width: int) -> npt.NDArray[Any]:
        """The given rows, int ``[R]``, as ``[R, width]`` of the values' type: each row's values, and zeros behind them.

        Raises:
            DataError: a row has more than ``width`` values.
        """
        found = self.take(rows)
        counts = found.counts
        if counts.max(initial=0) > width:
            raise DataError(f"a row has {counts.max()} values; {width} were given room")
        matrix = np.zeros((len(rows), width), self.values.dtype)
        matrix[np.arange(width) < counts[:, None]] = found.values
        return matrix

    def contains(self, matrix: npt.ArrayLike) -> Flags:
        """Which entries of a matrix are in the set of their row.

        Args:
            matrix: ids, int64 ``[N, K]``; negative entries (-1, no prediction) are in no set.

        Returns:
            bool ``[N, K]``.

        Raises:
            DataError: the matrix doesn't have N rows.
        """
        ids = np.asarray(matrix, dtype=np.int64)
        if ids.ndim != 2 or ids.shape[0] != len(self):
            raise DataError(f"the matrix must be [{len(self)}, K]: got {list(ids.shape)}")
        if not self.values.size or not ids.size:
            return np.zeros(ids.shape, dtype=np.bool_)
        # (row, id) as one number, so that one binary search answers every entry
        width = max(int(self.values.max()), int(ids.max())) + 1
        keys = self.row_of_value * width + self.values
        wanted = np.arange(len(self))[:, None] * width + ids
        found = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
        return (keys[found] == wanted) & (ids >= 0)

    def union(self, other: Ragged) -> Ragged:
        """Row by row, the ids that are here or in ``other``.

        Raises:
            DataError: ``other`` has another number of rows.
        """
        self._check_rows(other)
        width = 1 + max(int(self.values.max(initial=0)), int(other.values.max(initial=0)))
        keys = np.unique(np.concatenate([part.row_of_value * width + part.values for part in (self, other)]))
        return Ragged._from_sorted(keys // width, keys % width, len(self))

    def difference(self, other: Ragged) -> Ragged:
        """Row by row, the ids that are here and not in ``other``.

        Raises:
            DataError: ``other`` has another number of rows.
        """
        return self._keep(~self._shared_with(other))

    def intersection(self, other: Ragged) -> Ragged:
        """Row by row, the ids that are both here and in ``other``.

        Raises:
            DataError: ``other`` has another number of rows.
        """
        return self._keep(self._shared_with(other))

    def _shared_with(self, other: Ragged) -> Flags:
        self._check_rows(other)
        width = 1 + max(int(self.values.max(initial=0)), int(other.values.max(initial=0)))
        mine = self.row_of_value * width + self.values
        theirs = other.row_of_value * width + other.values
        return np.isin(mine, theirs, assume_unique=True)

    def _check_rows(self, other: Ragged) -> None:
        if len(other) != len(self):
            raise DataError(f"both must have as many rows: got {len(self)} and {len(other)}")

    def _keep(self, kept: Flags) -> Ragged:
        return Ragged._from_sorted(self.row_of_value[kept], self.values[kept], len(self))
