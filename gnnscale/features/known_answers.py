"""What examples know of the answers of other rows, with the columns that a plain model puts beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from gnnscale.features.answer_history import AnswerHistory
from gnnscale.store import ALWAYS

if TYPE_CHECKING:
    from gnnscale.features.entity_features import EntityFeatures

BLOCK: Final = 65_536
"""Rows whose columns are held at once."""


@dataclass(frozen=True, eq=False)
class KnownAnswers:
    """Of N examples, the answers that were known of rows that name the same rows, and their own columns.

    Args:
        features: of the examples' table, with a history of answers.
        history: of the answers.
        nodes: of the examples, int64 ``[N]``.
        anchors: seconds after the graph's origin, int32 ``[N]``.
        means: see :meth:`AnswerHistory.means`, float32 ``[N, ways, K]``.
        columns: of the rows and of those that they name, float32 ``[N, P]``; see :meth:`EntityFeatures.columns_at`.
    """

    features: EntityFeatures
    history: AnswerHistory
    nodes: NDArray[np.int64]
    anchors: NDArray[np.int32]
    means: NDArray[np.float32]
    columns: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.nodes)

    def take(self, rows: NDArray[np.int64]) -> KnownAnswers:
        """Those of some examples, in their order."""
        nodes, anchors = self.nodes[rows], self.anchors[rows]
        return KnownAnswers(self.features, self.history, nodes, anchors, self.means[rows], self.columns[rows])

    @property
    def categories(self) -> tuple[int, ...]:
        """Of each column of ``columns``, how many categories its codes tell apart; 0 of a number."""
        return self.features.column_categories

    def columns_of_answers(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Which answers, and the columns of their rows at the rows' own times, float32 ``[answers, P]``; by blocks."""
        rows = self.history.rows
        times = self.features.times_of(rows)
        times = np.where(times == ALWAYS, self.history.known, times).astype(np.int32)
        for start in range(0, len(rows), BLOCK):
            part = slice(start, min(len(rows), start + BLOCK))
            yield part, self.features.columns_at(rows[part], times[part])

    def means_of(self, history: AnswerHistory) -> NDArray[np.float32]:
        """Means of other values of the same answers, float32 ``[N, ways, columns]``."""
        return history.means(self.nodes, self.anchors)
