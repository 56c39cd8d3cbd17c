"""Actions of every entity in order of time, over arrays that are there already: the graph's own edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]
"""Places of actions among all: those of an entity are in a row, in order of time."""


@dataclass(frozen=True, eq=False)
class ActionLog:
    """What every entity did, in order of time.

    Args:
        indptr: where each entity's actions begin, int64 ``[entities + 1]``.
        rows: row of the event table of each action, int ``[actions]``; None where they are in the order of the actions.
        target_indptr: where each row's target is in ``targets``, int64 ``[rows + 1]``; None where each row has one.
        targets: that the rows name, int.
        times: int32 ``[actions]``, seconds; None where nothing but their order is known.
        codes: categories of each row, int32 ``[rows, columns]``, and which columns count.
        numbers: numbers of each row, float32 ``[rows, columns]``, and which columns count.
    """

    indptr: NDArray[np.int64]
    rows: NDArray[Any] | None
    target_indptr: NDArray[np.int64] | None
    targets: NDArray[Any]
    times: NDArray[np.int32] | None = None
    codes: tuple[NDArray[np.int32], tuple[int, ...]] | None = None
    numbers: tuple[NDArray[np.float32], tuple[int, ...]] | None = None

    @property
    def entities(self) -> int:
        """How many there are."""
        return len(self.indptr) - 1

    def rows_at(self, places: Positions) -> NDArray[np.int64]:
        """Rows of the event table of some actions, int64, as ``places``."""
        return places if self.rows is None else np.asarray(self.rows[places]).astype(np.int64)

    def targets_at(self, places: Positions) -> NDArray[np.int64]:
        """Targets of some actions, int64, as ``places``; -1 of an action that names none."""
        rows = self.rows_at(places)
        if self.target_indptr is None:
            return np.asarray(self.targets[rows]).astype(np.int64)
        first = np.asarray(self.target_indptr[rows])
        named = np.asarray(self.target_indptr[rows + 1]) > first
        # A row without a target reads one that is there, and leaves it.
        found = np.asarray(self.targets[np.where(named, first, 0)]) if len(self.targets) else np.zeros_like(first)
        return np.where(named, found, -1).astype(np.int64)

    def codes_at(self, places: Positions) -> NDArray[np.int64]:
        """Categories of some actions, int64 ``[..., columns]``."""
        return _columns(self.codes, self.rows_at(places), np.int64)

    def numbers_at(self, places: Positions) -> NDArray[np.float32]:
        """Numbers of some actions, float32 ``[..., columns]``."""
        return _columns(self.numbers, self.rows_at(places), np.float32)

    def end_at(self, entities: NDArray[np.int64], anchors: NDArray[Any]) -> Positions:
        """Where the actions of entities end that are no later than an anchor, int64 ``[entities]``."""
        first, last = self.indptr[entities], self.indptr[entities + 1]
        return last if self.times is None else first_after(self.times, first, last, anchors)


def stretches(starts: Positions, ends: Positions) -> tuple[NDArray[np.int64], Positions]:
    """All places of some stretches: the number of each one's stretch, and the place."""
    lengths = ends - starts
    row = np.repeat(np.arange(len(lengths)), lengths)
    return row, np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths - starts, lengths)


def first_after(times: NDArray[Any], low: Positions, high: Positions, value: NDArray[Any]) -> Positions:
    """In each of some ascending stretches of an array, the first place whose time is over a value.

    Args:
        times: of all stretches.
        low, high: where each begins and ends, int64 ``[stretches]``.
        value: one a stretch.

    Returns:
        int64 ``[stretches]``; ``high`` where there is none.
    """
    low, high, value = np.array(low), np.array(high), np.asarray(value)
    while True:
        still = np.flatnonzero(low < high)
        if not len(still):
            return low
        middle = (low[still] + high[still]) >> 1
        later = times[middle] > value[still]
        high[still[later]] = middle[later]
        low[still[~later]] = middle[~later] + 1


def _columns(found: tuple[NDArray[Any], tuple[int, ...]] | None, rows: NDArray[np.int64], dtype: Any) -> NDArray[Any]:
    if found is None or not found[1]:
        return np.zeros((*rows.shape, 0), dtype)
    values, columns = found
    return np.asarray(values[rows][..., list(columns)]).astype(dtype)
