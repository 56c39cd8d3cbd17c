"""Targets that are known positives of an entity, which are never its negatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gnnscale.arrays import Ragged
from gnnscale.schema import SchemaError


@dataclass(frozen=True, eq=False)
class KnownPositives(Ragged):
    """Targets (node ids) of every entity, which say what is no negative for it.

    Raises:
        SchemaError: the rows don't cover the targets, or are not in order.
    """

    def __post_init__(self, checked: bool) -> None:
        if not checked:
            return
        widths = np.diff(self.indptr)
        if not len(self.indptr) or self.indptr[0] != 0 or self.indptr[-1] != len(self.targets) or (widths < 0).any():
            raise SchemaError(f"rows of known positives must ascend from 0 to {len(self.targets)}, the number of them")
        # A row may start with any target.
        ascending = np.diff(self.targets) > 0
        starts = self.indptr[1:-1]
        ascending[starts[(starts > 0) & (starts < len(self.targets))] - 1] = True
        if not ascending.all():
            at = int(np.searchsorted(self.indptr, np.flatnonzero(~ascending)[0], side="right")) - 1
            raise SchemaError(f"known positives of entity {at} must ascend, each once; use KnownPositives.of_pairs")

    @classmethod
    def of_pairs(cls, entities: NDArray[Any], targets: NDArray[Any], count: int) -> Self:
        """From (entity, target) pairs in any order, repeats allowed.

        Args:
            entities, targets: int ``[pairs]``.
            count: number of entities.

        Raises:
            SchemaError: an entity outside ``0 .. count - 1``.
        """
        if entities.size and (entities.min() < 0 or entities.max() >= count):
            raise SchemaError(f"entities must be in 0 .. {count - 1}, not {entities.min()} .. {entities.max()}")
        return cls.from_pairs(entities, targets, count)

    @property
    def targets(self) -> NDArray[np.int64]:
        """Node ids, int64 ``[positives]``, ascending within an entity, each once."""
        return self.values

    def check_targets(self, count: int) -> None:
        """Refuse targets that are not among so many.

        Raises:
            SchemaError: a known positive is not in ``0 .. count - 1``.
        """
        low, high = self._span
        if low < 0 or high >= count:
            raise SchemaError(f"known positives must be in 0 .. {count - 1}, not {low} .. {high}")

    @cached_property
    def _span(self) -> tuple[int, int]:
        return (int(self.targets.min()), int(self.targets.max())) if len(self.targets) else (0, -1)

    def hold(self, entities: NDArray[np.int64], nodes: NDArray[Any], backend: str = "numba") -> NDArray[np.bool_]:
        """Which nodes are known positives.

        Args:
            entities: ``[batch]``.
            nodes: int ``[batch, number]``.
            backend: ``numba`` or ``numpy``.

        Returns:
            bool ``[batch, number]``.
        """
        found: NDArray[np.bool_] = HOLD[backend](self.indptr, self.targets, entities, nodes.astype(np.int64))
        return found


def _hold_reference(
    indptr: NDArray[np.int64], targets: NDArray[np.int64], entities: NDArray[np.int64], nodes: NDArray[np.int64]
) -> NDArray[np.bool_]:
    rows = [np.isin(row, targets[indptr[e] : indptr[e + 1]]) for e, row in zip(entities, nodes, strict=True)]
    return np.array(rows, bool).reshape(nodes.shape)


@njit(nogil=True, cache=True)
def is_known(indptr, targets, entity, node):  # type: ignore[no-untyped-def]
    """Whether a target is in the row of an entity."""
    low, high = indptr[entity], indptr[entity + 1]
    end = high
    while low < high:
        middle = (low + high) >> 1
        if targets[middle] < node:
            low = middle + 1
        else:
            high = middle
    return low < end and targets[low] == node


@njit(nogil=True, cache=True)
def _hold_compiled(indptr, targets, entities, nodes):  # type: ignore[no-untyped-def]
    found = np.empty(nodes.shape, np.bool_)
    for b in range(nodes.shape[0]):
        for j in range(nodes.shape[1]):
            found[b, j] = is_known(indptr, targets, entities[b], nodes[b, j])
    return found


HOLD: dict[str, Callable[..., NDArray[np.bool_]]] = {"numba": _hold_compiled, "numpy": _hold_reference}
