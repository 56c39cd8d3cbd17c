"""Baselines from item-item weights: what goes with what the entity has had, ItemKNN and EASE.

Both score an item by the sum, over what the entity has had, of a weight for the pair of items; they differ in how the
weights come about. Events count ``2^(-age / half-life)``, as for recency-weighted frequency.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np
import scipy.linalg
import scipy.sparse
from numpy.typing import NDArray

from gnnscale.arrays import Ids, Ragged
from gnnscale.config import Settings
from gnnscale.evaluation.baselines.baseline import LinkBaseline
from gnnscale.evaluation.baselines.link_baselines import DAY, fill_lists, popular_items
from gnnscale.evaluation.comparison import Part
from gnnscale.evaluation.list_comparison import PARTS
from gnnscale.retrieval import History
from gnnscale.schema import BASELINES

MOST_ITEMS: Final = 5_000
"""Items that take part, those with the most events: weights of all pairs are a dense matrix of 100 MB then."""

MOST_PER_ENTITY: Final = 500
"""Items of one entity that count, the heaviest: an entity with ten thousand would cost a hundred million pairs."""

BLOCK_SCORES: Final = 1 << 24
"""Scores that are looked at together: 64 MiB."""

Scores = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Interactions:
    """What every entity has had, as a sparse matrix of decayed counts over the items that take part.

    Args:
        weights: float32 ``[n_entities, C]`` in CSR form.
        items: node ids of its columns, int64 ``[C]``, ascending.
        history: that it is made of.
    """

    weights: scipy.sparse.csr_matrix
    items: Ids
    history: History

    @classmethod
    def of(cls, history: History, half_life_seconds: int, most_items: int = MOST_ITEMS) -> Interactions:
        """Sum the events of each entity and item, weighed by their age.

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
        return cls(_heaviest(weights, MOST_PER_ENTITY).astype(np.float32), items, history)


def _heaviest(matrix: scipy.sparse.csr_matrix, most: int) -> scipy.sparse.csr_matrix:
    """The matrix with no more than ``most`` entries a row, the largest."""
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, row))
    rank = np.arange(len(order)) - matrix.indptr[row]
    kept = np.sort(order[rank < most])
    return scipy.sparse.csr_matrix((matrix.data[kept], (row[kept], matrix.indices[kept])), shape=matrix.shape)


ItemWeights = Callable[[Interactions, Settings], "scipy.sparse.csr_matrix | Scores"]
"""Weights of item pairs, ``[C, C]``: from what was had (rows) to what is scored (columns)."""


Fitted = tuple[Interactions, "scipy.sparse.csr_matrix | Scores"]

_FITTED: WeakKeyDictionary[History, dict[tuple[object, ...], Fitted]] = WeakKeyDictionary()


def item_knn_weights(seen: Interactions, nearest: int) -> scipy.sparse.csr_matrix:
    """Cosines of the items' columns, of each item's nearest ones (Sarwar et al., 2001); none with itself.

    Args:
        seen: what every entity has had.
        nearest: items that count beside each.

    Returns:
        float32 ``[C, C]``; column ``i`` holds the cosines of what is nearest to item ``i``.
    """
    count = len(seen.items)
    lengths = np.sqrt(np.asarray(seen.weights.multiply(seen.weights).sum(axis=0)).ravel())
    unit = seen.weights @ scipy.sparse.diags(1.0 / np.maximum(lengths, 1e-12))
    unit = unit.tocsc()
    rows, columns, values = [], [], []
    step = max(1, BLOCK_SCORES // max(1, count))
    for start in range(0, count, step):
        block = np.asarray((unit.T @ unit[:, start : start + step]).todense(), np.float32)
        width = block.shape[1]
        block[np.arange(start, start + width), np.arange(width)] = 0.0
        kept = min(nearest, count)
        best = np.argpartition(-block, kept - 1, axis=0)[:kept]
        columns.append(np.tile(np.arange(start, start + width), kept))
        rows.append(best.ravel())
        values.append(np.take_along_axis(block, best, axis=0).ravel())
    if not count:
        return scipy.sparse.csr_matrix((0, 0), dtype=np.float32)
    table = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    weights = scipy.sparse.csr_matrix(table, shape=(count, count), dtype=np.float32)
    weights.eliminate_zeros()
    return weights


def ease_weights(seen: Interactions, l2: float) -> Scores:
    """Weights of a linear model that tells each item from all others: EASE, ``B = I - P / diag(P)`` with
    ``P = (X'X + l2 I)^-1`` (Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data", eq. 8).

    Args:
        seen: what every entity has had, ``X``.
        l2: of the ridge.

    Returns:
        float32 ``[C, C]``, 0 on the diagonal.
    """
    gram = np.asarray((seen.weights.T @ seen.weights).todense(), np.float64)
    if not len(gram):
        return gram.astype(np.float32)
    gram[np.diag_indices_from(gram)] += l2
    inverse = scipy.linalg.inv(gram, overwrite_a=True, assume_a="pos")
    weights = inverse / -np.diagonal(inverse)
    weights[np.diag_indices_from(weights)] = 0.0
    found: Scores = weights.astype(np.float32)
    return found


@dataclass(frozen=True, kw_only=True)
class ItemWeightBaseline(LinkBaseline):
    """A baseline that ranks targets by their weights with what the entity has had, and then by popularity.

    Args:
        weights: of item pairs, from what every entity has had.
    """

    weights: ItemWeights

    def lists(self, settings: Settings, history: History, entities: Ids, k: int) -> dict[Part, Ids]:
        """The ranked lists of some entities, drawn from all targets, from those they had and from the others."""
        seen, weights = self._fitted(settings, history)
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
            "all": _filled(found["all"], popular, past),
            "repeat": found["repeat"],
            "explore": _filled(found["explore"], popular, past),
        }

    def scored_lists(
        self, settings: Settings, history: History, entities: Ids, k: int, among: Part = "all"
    ) -> tuple[Ids, Scores]:
        """The items with a score above 0, and then popular ones with a score of 0."""
        seen, weights = self._fitted(settings, history)
        ranked = np.full((len(entities), k), -1, np.int64)
        values = np.zeros((len(entities), k), np.float32)
        for rows, scores in _scored(seen, weights, entities):
            past = history.past.take(entities[rows])
            allowed = None if among == "all" else ~past.contains(np.broadcast_to(seen.items, scores.shape))
            ranked[rows] = _top(seen, scores, allowed, k)
            column = np.searchsorted(seen.items, np.maximum(ranked[rows], 0)).clip(max=max(0, len(seen.items) - 1))
            if len(seen.items):
                found = np.take_along_axis(scores, column, axis=1)
                values[rows] = np.where(ranked[rows] >= 0, found, 0)
        popular = popular_items(history, settings.evaluation.popularity_days * DAY)
        ranked = _filled(ranked, popular, history.past.take(entities))
        return ranked, np.where(ranked >= 0, values, -np.inf).astype(np.float32)

    def _fitted(self, settings: Settings, history: History) -> Fitted:
        """What is learned of a history; kept as long as that is in use, so that blocks of entities share it."""
        options = settings.evaluation
        key = (self.name, options.half_life_days, options.similar_items, options.ease_l2)
        known = _FITTED.setdefault(history, {})
        if key not in known:
            seen = Interactions.of(history, options.half_life_days * DAY)
            known[key] = seen, self.weights(seen, settings)
        return known[key]


def _scored(
    seen: Interactions, weights: scipy.sparse.csr_matrix | Scores, entities: Ids
) -> Iterator[tuple[slice, Scores]]:
    step = max(1, BLOCK_SCORES // max(1, len(seen.items)))
    for start in range(0, len(entities), step):
        rows = slice(start, start + step)
        scores = seen.weights[entities[rows]] @ weights
        yield rows, scores.toarray() if scipy.sparse.issparse(scores) else np.asarray(scores, np.float32)


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


def _top(seen: Interactions, scores: Scores, allowed: NDArray[np.bool_] | None, k: int) -> Ids:
    """The k best items by a score above 0, ties by events and then the smaller id, -1 after the last."""
    if allowed is not None:
        scores = np.where(allowed, scores, 0.0)
    width = min(k, scores.shape[1])
    ranked = np.full((len(scores), k), -1, np.int64)
    if not width:
        return ranked
    # Among equals at the edge, a partition would take any.
    order = np.lexsort((seen.items, -seen.history.totals[seen.items]))
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
