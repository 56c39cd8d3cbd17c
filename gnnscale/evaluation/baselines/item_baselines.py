"""Baselines from what was had together: ItemKNN, EASE, and the mix of graph filters and EASE.

Each scores the items that have the most events from what the entity has had, and then goes by popularity. Events count
``2^(-age / half-life)``, as for recency-weighted frequency.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import Ids, Ragged
from gnnscale.collaborative import MOST_ITEMS, Interactions, Recommender, Scores, make_recommender
from gnnscale.config import Implementation, Settings
from gnnscale.evaluation.baselines.baseline import LinkBaseline
from gnnscale.evaluation.baselines.link_baselines import DAY, fill_lists, popular_items
from gnnscale.evaluation.comparison import Part
from gnnscale.evaluation.list_comparison import PARTS
from gnnscale.retrieval import History
from gnnscale.schema import BASELINES

BLOCK_SCORES: Final = 1 << 24
"""Scores that are looked at together: 64 MiB."""

MOST_FACTORED: Final = 200_000
"""Items that matrix factorization has a vector of."""

Fitted = tuple[Interactions, Recommender | None]

_FITTED: WeakKeyDictionary[History, dict[tuple[object, ...], Fitted]] = WeakKeyDictionary()


@dataclass(frozen=True, kw_only=True)
class RecommenderBaseline(LinkBaseline):
    """A baseline that ranks targets by a recommender of :mod:`gnnscale.collaborative`, and then by popularity.

    Args:
        recommender: as the settings of a run have it.
        signed: whether its scores may be below 0 for items that it knows; of others, only those above 0 are listed.
        most_items: items that take part, those with the most events.
    """

    recommender: Callable[[Settings], Implementation]
    signed: bool = False
    most_items: int = MOST_ITEMS

    def lists(self, settings: Settings, history: History, entities: Ids, k: int) -> dict[Part, Ids]:
        """The ranked lists of some entities, drawn from all targets, from those they had and from the others."""
        found: dict[Part, Ids] = {part: np.full((len(entities), k), -1, np.int64) for part in PARTS}
        seen, model = self._fitted(settings, history)
        for rows, scores in self._scored(seen, model, entities):
            past = history.past.take(entities[rows])
            had = past.contains(np.broadcast_to(seen.items, scores.shape))
            allowed: dict[Part, NDArray[np.bool_] | None] = {"all": None, "repeat": had, "explore": ~had}
            for part in PARTS:
                found[part][rows] = _top(seen, scores, allowed[part], k)[0]
        popular = popular_items(history, settings.evaluation.popularity_days * DAY)
        past = history.past.take(entities)
        return {
            "all": _filled(found["all"], popular, past),
            "repeat": found["repeat"],
            "explore": _filled(found["explore"], popular, past),
        }

    def scored_lists(
        self, settings: Settings, history: History, entities: Ids, k: int, among: Part = "all"
    ) -> tuple[Ids, Scores]:
        """The items that it scores, and then popular ones with a score of 0."""
        seen, model = self._fitted(settings, history)
        ranked, values = np.full((len(entities), k), -1, np.int64), np.zeros((len(entities), k), np.float32)
        for rows, scores in self._scored(seen, model, entities):
            past = history.past.take(entities[rows])
            allowed = None if among == "all" else ~past.contains(np.broadcast_to(seen.items, scores.shape))
            ranked[rows], values[rows] = _top(seen, scores, allowed, k)
        popular = popular_items(history, settings.evaluation.popularity_days * DAY)
        ranked = _filled(ranked, popular, history.past.take(entities))
        return ranked, np.where(ranked >= 0, values, -np.inf).astype(np.float32)

    def _fitted(self, settings: Settings, history: History) -> Fitted:
        """What is learned of a history; kept as long as that is in use, so that blocks of entities share it."""
        options, how = settings.evaluation, self.recommender(settings)
        key = (self.name, options.half_life_days, settings.seed, repr(how))
        known = _FITTED.setdefault(history, {})
        if key not in known:
            seen = Interactions.of(history, options.half_life_days * DAY, self.most_items)
            model = make_recommender(how, settings.seed).fit(seen.weights) if seen.weights.nnz else None
            known[key] = seen, model
        return known[key]

    def _scored(self, seen: Interactions, model: Recommender | None, entities: Ids) -> Iterator[tuple[slice, Scores]]:
        """Scores of the items of ``seen``, not above 0 where there is nothing to say."""
        if model is None:
            return
        step = max(1, BLOCK_SCORES // len(seen.items))
        for start in range(0, len(entities), step):
            rows = slice(start, start + step)
            scores = model.score(entities[rows])
            if self.signed:
                known = np.diff(seen.weights.indptr)[entities[rows]] > 0
                # Above 0 from the lowest on, in the same distances.
                scores = np.where(known[:, None], scores - scores.min(axis=1, keepdims=True) + np.float32(1e-3), 0)
            yield rows, scores


def _filled(ranked: Ids, popular: Ids, past: Ragged) -> Ids:
    """The lists, filled with popular items that are neither listed nor had."""
    short = np.flatnonzero(ranked[:, -1] < 0)
    if not short.size:
        return ranked
    had, listed = past.take(short), ranked[short]
    row, place = np.nonzero(listed >= 0)
    rows = np.concatenate([had.row_of_value, row])
    known = Ragged.from_pairs(rows, np.concatenate([had.values, listed[row, place]]), len(short))
    filled = ranked.copy()
    filled[short] = fill_lists(listed, popular, known)
    return filled


def _top(seen: Interactions, scores: Scores, allowed: NDArray[np.bool_] | None, k: int) -> tuple[Ids, Scores]:
    """The k best items by a score above 0, ties by events and then the smaller id, -1 after the last; their scores."""
    if allowed is not None:
        scores = np.where(allowed, scores, 0.0)
    width = min(k, scores.shape[1])
    ranked, found = np.full((len(scores), k), -1, np.int64), np.zeros((len(scores), k), np.float32)
    # Among equals at the edge, a partition would take any.
    order = np.lexsort((seen.items, -seen.totals))
    best = np.argsort(-scores[:, order], axis=1, kind="stable")[:, :width]
    values = np.take_along_axis(scores[:, order], best, axis=1)
    ranked[:, :width] = np.where(values > 0, seen.items[order][best], -1)
    found[:, :width] = np.maximum(values, 0)
    return ranked, found


BASELINES.register("item_knn")(
    RecommenderBaseline(
        "item_knn",
        "ItemKNN",
        "What those had who had the same, by the cosine of items; then what is popular.",
        recommender=lambda settings: {"name": "item_knn", "nearest": settings.evaluation.similar_items},
    )
)
BASELINES.register("ease")(
    RecommenderBaseline(
        "ease",
        "EASE",
        f"A linear model of each item from all others, over the {MOST_ITEMS:,} items with the most events.",
        recommender=lambda settings: {"name": "ease", "l2": settings.evaluation.ease_l2},
    )
)
BASELINES.register("graph_filter")(
    RecommenderBaseline(
        "graph_filter",
        "Graph filter mix",
        "Smoothed co-occurrence, a spectral low-pass filter and EASE, standardized and summed by weights learned on "
        f"held-out events, over the {MOST_ITEMS:,} items with the most events; then what is popular.",
        recommender=lambda settings: {
            "name": "mix",
            "parts": [
                "co_occurrence",
                {"name": "low_pass", "dims": 64},
                {"name": "ease", "l2": settings.evaluation.ease_l2},
            ],
        },
        signed=True,
        few_repeats=True,
    )
)
BASELINES.register("matrix_factorization")(
    RecommenderBaseline(
        "matrix_factorization",
        "Matrix factorization",
        "Vectors of entities and items by BPR (Rendle et al., 2009); then what is popular.",
        recommender=lambda settings: "bpr_mf",
        signed=True,
        most_items=MOST_FACTORED,
    )
)
