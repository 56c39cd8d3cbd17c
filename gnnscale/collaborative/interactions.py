"""What every user has had, as a sparse matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol, Self

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from gnnscale.arrays import Ids

MOST_ITEMS: Final = 5_000
"""Items that take part by default, those with the most events: weights of all pairs are a dense matrix of 100 MB."""

MOST_PER_ENTITY: Final = 500
"""Items of one entity that count, the heaviest: an entity with ten thousand would cost a hundred million pairs."""

Scores = NDArray[np.float32]


class Events(Protocol):
    """Events before an anchor time, as :class:`gnnscale.retrieval.History` holds them."""

    @property
    def entity(self) -> Ids:
        """Row of the entity of each event, int64 ``[E]``."""
        ...

    @property
    def item(self) -> Ids:
        """Item of each event, int64 ``[E]``."""
        ...

    @property
    def age(self) -> Ids:
        """Seconds from each event to the anchor, int64 ``[E]``."""
        ...

    @property
    def n_entities(self) -> int:
        """Number of entities."""
        ...

    @property
    def n_items(self) -> int:
        """Size of the catalogue."""
        ...

    @property
    def totals(self) -> Ids:
        """Number of events of each item, int64 ``[n_items]``."""
        ...


@dataclass(frozen=True, eq=False)
class Interactions:
    """What every entity has had, as a sparse matrix of decayed counts over the items that take part.

    Args:
        weights: float32 ``[n_entities, C]`` in CSR form.
        items: node ids of its columns, int64 ``[C]``, ascending.
        totals: events of each of its columns, int64 ``[C]``.
    """

    weights: scipy.sparse.csr_matrix
    items: Ids
    totals: Ids

    @classmethod
    def of(cls, history: Events, half_life_seconds: int, most_items: int = MOST_ITEMS) -> Self:
        """Sum the events of each entity and item, weighed by ``2^(-age / half-life)``.

        Args:
            history: events before the anchor.
            half_life_seconds: age at which an event counts half.
            most_items: items that take part, those with the most events, the smaller id first among equals.
        """
        known = np.flatnonzero(history.totals)
        leading = known[np.lexsort((known, -history.totals[known]))][:most_items]
        items = np.sort(leading)
        column = np.full(history.n_items, -1, np.int64)
        column[items] = np.arange(len(items))
        # Youngest first within a pair, so that rounding doesn't depend on the order of the rows.
        order = np.lexsort((history.age, history.item, history.entity))
        order = order[column[history.item[order]] >= 0]
        decayed = np.exp2(-history.age[order] / half_life_seconds)
        place = history.entity[order], column[history.item[order]]
        shape = (history.n_entities, len(items))
        weights = scipy.sparse.coo_matrix((decayed, place), shape=shape).tocsr()
        return cls(heaviest(weights, MOST_PER_ENTITY).astype(np.float32), items, history.totals[items])


def heaviest(matrix: scipy.sparse.csr_matrix, most: int) -> scipy.sparse.csr_matrix:
    """The matrix with no more than ``most`` entries a row, the largest, the smaller column first among equals."""
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, row))
    rank = np.arange(len(order)) - matrix.indptr[row]
    kept = np.sort(order[rank < most])
    return scipy.sparse.csr_matrix((matrix.data[kept], (row[kept], matrix.indices[kept])), shape=matrix.shape)


def as_matrix(seen: scipy.sparse.spmatrix) -> scipy.sparse.csr_matrix:
    """A matrix of users and items as recommenders take it: CSR, float32, columns ascending, each pair once, none 0."""
    matrix = scipy.sparse.csr_matrix(seen, dtype=np.float32, copy=True)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix
