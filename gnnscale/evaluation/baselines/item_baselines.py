"""Baselines from item-item weights: what goes with what the entity has had, ItemKNN and EASE.

Both score an item by the sum, over what the entity has had, of a weight for the pair of items; they differ in how the
weights come about. Events count ``2^(-age / half-life)``, as for recency-weighted frequency.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from gnnscale.arrays import Ids
from gnnscale.collaborative import MOST_ITEMS, Interactions, Scores, ease_weights, item_knn_weights
from gnnscale.config import Settings
from gnnscale.evaluation.baselines.baseline import LinkBaseline
from gnnscale.evaluation.baselines.link_baselines import DAY, fill_lists, popular_items
from gnnscale.evaluation.comparison import Part
from gnnscale.evaluation.list_comparison import PARTS
from gnnscale.retrieval import History
from gnnscale.schema import BASELINES

BLOCK_SCORES: Final = 1 << 24
"""Scores that are looked at together: 64 MiB."""

ItemWeights = Callable[[Interactions, Settings], "scipy.sparse.csr_matrix | Scores"]
"""Weights of item pairs, ``[C, C]``: from what was had (rows) to what is scored (columns)."""


@dataclass(frozen=True, kw_only=True)
class ItemWeightBaseline(LinkBaseline):
    """A baseline that ranks targets by their weights with what the entity has had, and then by popularity.

    Args:
        weights: of item pairs, from what every entity has had.
    """

    weights: ItemWeights

    def lists(self, settings: Settings, history: History, entities: Ids, k: int) -> dict[Part, Ids]:
        """The ranked lists of some entities, drawn from all targets, from those they had and from the others."""
        seen = Interactions.of(history, settings.evaluation.half_life_days * DAY)
        weights = self.weights(seen, settings)
        found: dict[Part, Ids] = {part: np.full((len(entities), k), -1, np.int64) for part in PARTS}
        for rows, scores in _scored(seen, weights, entities):
            past = history.past.take(entities[rows])
            had = past.contains(np.broadcast_to(seen.items, scores.shape))
            allowed: dict[Part, NDArray[np.bool_] | None] = {"all": None, "repeat": had, "explore": ~had}
            for part in PARTS:
                found[part][rows] = _top(seen, scores, allowed[part], k)
        popular = popular_items(history, settings.evaluation.popularity_days * DAY)
        past = history.past.take(entities)
        return {
            "all": fill_lists(found["all"], popular, past),
            "repeat": found["repeat"],
            "explore": fill_lists(found["explore"], popular, past),
        }


def _scored(
    seen: Interactions, weights: scipy.sparse.csr_matrix | Scores, entities: Ids
) -> Iterator[tuple[slice, Scores]]:
    step = max(1, BLOCK_SCORES // max(1, len(seen.items)))
    for start in range(0, len(entities), step):
        rows = slice(start, start + step)
        scores = seen.weights[entities[rows]] @ weights
        yield rows, scores.toarray() if scipy.sparse.issparse(scores) else np.asarray(scores, np.float32)


def _top(seen: Interactions, scores: Scores, allowed: NDArray[np.bool_] | None, k: int) -> Ids:
    """The k best items by a score above 0, ties by events and then the smaller id, -1 after the last."""
    if allowed is not None:
        scores = np.where(allowed, scores, 0.0)
    width = min(k, scores.shape[1])
    ranked = np.full((len(scores), k), -1, np.int64)
    if not width:
        return ranked
    # Among equals at the edge, a partition would take any.
    order = np.lexsort((seen.items, -seen.totals))
    best = np.argsort(-scores[:, order], axis=1, kind="stable")[:, :width]
    values = np.take_along_axis(scores[:, order], best, axis=1)
    ranked[:, :width] = np.where(values > 0, seen.items[order][best], -1)
    return ranked


BASELINES.register("item_knn")(
    ItemWeightBaseline(
        "item_knn",
        "ItemKNN",
        "What those had who had the same, by the cosine of items; then what is popular.",
        weights=lambda seen, settings: item_knn_weights(seen, settings.evaluation.similar_items),
    )
)
BASELINES.register("ease")(
    ItemWeightBaseline(
        "ease",
        "EASE",
        f"A linear model of each item from all others, over the {MOST_ITEMS:,} items with the most events.",
        weights=lambda seen, settings: ease_weights(seen, settings.evaluation.ease_l2),
    )
)
