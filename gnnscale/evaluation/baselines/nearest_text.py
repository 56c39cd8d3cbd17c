"""The baseline of content alone: rows of one table that say nearly the same."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import Ids
from gnnscale.config import Settings
from gnnscale.evaluation.baselines.baseline import LinkBaseline
from gnnscale.evaluation.comparison import Part
from gnnscale.evaluation.list_comparison import PARTS
from gnnscale.features import nearest_texts, text_vectors
from gnnscale.query import PredictiveQuery
from gnnscale.retrieval import Catalog, History
from gnnscale.schema import BASELINES, ColumnType

Scores = NDArray[np.float32]

_VECTORS: WeakKeyDictionary[Catalog, Scores] = WeakKeyDictionary()


@dataclass(frozen=True, kw_only=True)
class NearestText(LinkBaseline):
    """A baseline that ranks rows of one table for each other, by the cosine of the vectors of their texts.

    Of several columns of texts or vectors each counts the same.
    """

    def fits(self, query: PredictiveQuery | None) -> bool:
        """Where rows of one table are ranked for each other, and some of its columns are texts or vectors."""
        if query is None or not query.task_type.predicts_links or not query.ranks_own_table:
            return False
        return bool({ColumnType.TEXT, ColumnType.EMBEDDING} & set(query.target.columns.values()))

    def lists(self, settings: Settings, history: History, entities: Ids, k: int) -> dict[Part, Ids]:
        """The nearest of all that are there, of those that an entity has had, and of the others."""
        return {part: self._nearest(history, entities, k, part)[0] for part in PARTS}

    def scored_lists(
        self, settings: Settings, history: History, entities: Ids, k: int, among: Part = "all"
    ) -> tuple[Ids, Scores]:
        """The nearest, by their cosines."""
        return self._nearest(history, entities, k, among)

    def _nearest(self, history: History, entities: Ids, k: int, among: Part) -> tuple[Ids, Scores]:
        catalog = history.catalog
        assert catalog is not None
        if catalog not in _VECTORS:
            _VECTORS[catalog] = text_vectors(catalog.items)
        if among not in ("repeat", "explore"):
            return nearest_texts(_VECTORS[catalog], entities, k, catalog.there)
        ranked = np.full((len(entities), k), -1, np.int64)
        scores = np.full((len(entities), k), -np.inf, np.float32)
        for row, entity in enumerate(entities):
            allowed = np.full(len(catalog.there), among == "explore")
            allowed[history.past.row(int(entity))] = among == "repeat"
            found = nearest_texts(_VECTORS[catalog], entities[row : row + 1], k, catalog.there & allowed)
            ranked[row], scores[row] = found[0][0], found[1][0]
        return ranked, scores


BASELINES.register("nearest_text")(
    NearestText(
        "nearest_text",
        "Nearest text",
        "What says nearly the same: rows by the cosine of the vectors of their texts.",
        tasks=("links",),
    )
)
