"""What a model has to beat: what is popular, and what each entity has had before.

Every ranking breaks ties by the item's number of events in the whole history, then by the smaller id,
so that the same history gives the same lists whatever the order of its rows.
"""

from __future__ import annotations

from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np

from gnnscale.arrays import Ids, Ragged
from gnnscale.config import Settings
from gnnscale.evaluation.baselines.baseline import Array, RankBaseline
from gnnscale.evaluation.comparison import Part
from gnnscale.metrics import Floats
from gnnscale.retrieval import History
from gnnscale.schema import BASELINES, ConfigError

DAY: Final = 86_400
"""Seconds."""

CELLS: Final = 1 << 22
"""Entries of the candidate matrix that are looked at together when lists are filled up: 32 MiB of ids."""


def popularity(history: History, k: int, window_seconds: int = 30 * DAY, *, among: Part = "all") -> Ids:
    """Items by their number of events in the last ``window_seconds``; items without any event never.

    Args:
        history: events before the anchor.
        k: length of the lists.
        window_seconds: only events younger than this count, other than for ties.
        among: ``all`` gives everyone the same list; ``repeat`` orders what the entity has had;
            ``explore`` leaves that out.

    Returns:
        int64 ``[n_entities, k]``.

    Raises:
        ConfigError: k or the window is below 1, or ``among`` is unknown.
    """
    _check(k, among, window_seconds=window_seconds)
    recent = _recent_counts(history, window_seconds)
    if among == "repeat":
        return _top_of_past(history, recent[history.past.values].astype(np.float64), k)
    order = _popular(history, recent)
    if among == "all":
        head = np.full(k, -1, dtype=np.int64)
        head[: min(k, order.size)] = order[:k]
        return np.tile(head, (history.n_entities, 1))
    return fill_lists(np.full((history.n_entities, k), -1, dtype=np.int64), order, history.past)


def personal_frequency(history: History, k: int, *, among: Part = "all", pad: bool = True) -> Ids:
    """What the entity has had, by how often.

    Args:
        history: events before the anchor.
        k: length of the lists.
        among: ``explore`` leaves nothing but the padding.
        pad: fill short lists with items popular in the last 30 days that the entity has not had;
            lists ``among="repeat"`` stay short.

    Returns:
        int64 ``[n_entities, k]``.

    Raises:
        ConfigError: k is below 1 or ``among`` is unknown.
    """
    _check(k, among)
    return _personal(history, np.ones(history.age.size), k, among, pad)


def recency_weighted_frequency(
    history: History, k: int, half_life_seconds: int = 90 * DAY, *, among: Part = "all", pad: bool = True
) -> Ids:
    """What the entity has had, by the sum of 2^(-age / half-life) over its events.

    Args:
        history: events before the anchor.
        k: length of the lists.
        half_life_seconds: age at which an event counts half.
        among: ``explore`` leaves nothing but the padding.
        pad: as for :func:`personal_frequency`.

    Returns:
        int64 ``[n_entities, k]``.

    Raises:
        ConfigError: k or the half-life is below 1, or ``among`` is unknown.
    """
    _check(k, among, half_life_seconds=half_life_seconds)
    return _personal(history, np.exp2(-history.age / half_life_seconds), k, among, pad)


def popular_candidates(
    history: History, entities: Ids, k: int, window_seconds: int = 30 * DAY, *, among: Part = "all"
) -> tuple[Ids, Array]:
    """The items of :func:`popularity` for some entities, by their number of events in the window.

    Returns:
        int64 and float32, both ``[N, k]``; see :meth:`LinkBaseline.scored_lists`.
    """
    _check(k, among, window_seconds=window_seconds)
    recent = _recent_counts(history, window_seconds)
    order = _popular(history, recent)
    nothing = np.full((len(entities), k), -1, np.int64)
    if among == "explore":
        ranked = fill_lists(nothing, order, history.past.take(entities))
    else:
        nothing[:, : min(k, order.size)] = order[:k]
        ranked = nothing
    return ranked, _falling(recent[ranked], ranked)


def frequent_candidates(
    history: History, entities: Ids, k: int, half_life_seconds: int | None = None, *, among: Part = "all"
) -> tuple[Ids, Array]:
    """The items of :func:`recency_weighted_frequency`, or without a half-life of :func:`personal_frequency`.

    Scores are the sums of the weights; of what only fills a list up, 0.

    Returns:
        int64 and float32, both ``[N, k]``; see :meth:`LinkBaseline.scored_lists`.
    """
    _check(k, among, half_life_seconds=1 if half_life_seconds is None else half_life_seconds)
    ranked = np.full((len(entities), k), -1, np.int64)
    scores = np.zeros((len(entities), k))
    past = history.past.take(entities)
    if among != "explore":
        age = np.zeros(history.age.size) if half_life_seconds is None else history.age
        summed = _sums_of(history, np.exp2(-age / (half_life_seconds or 1)), half_life_seconds)
        score = Ragged(history.past.indptr, summed, checked=False).take(entities).values
        row, item = past.row_of_value, past.values
        order = np.lexsort((item, -history.totals[item], -score, row))
        rank = np.arange(item.size) - past.indptr[row]
        kept = rank < k
        ranked[row[kept], rank[kept]] = item[order][kept]
        scores[row[kept], rank[kept]] = score[order][kept]
    ranked = fill_lists(ranked, popular_items(history, 30 * DAY), past)
    return ranked, _falling(scores, ranked)


_SUMS: WeakKeyDictionary[History, dict[int | None, Floats]] = WeakKeyDictionary()
"""Sums of the event weights by half-life, as long as a history is in use: blocks of entities share them."""


def _sums_of(history: History, weight: Floats, half_life_seconds: int | None) -> Floats:
    known = _SUMS.setdefault(history, {})
    if half_life_seconds not in known:
        known[half_life_seconds] = _summed_weights(history, weight)
    return known[half_life_seconds]


def _falling(scores: Floats | Ids, ranked: Ids) -> Array:
    """Scores as float32, -inf where there is no item."""
    return np.where(ranked >= 0, scores, -np.inf).astype(np.float32)


def _popularity_options(settings: Settings) -> dict[str, Any]:
    return {"window_seconds": settings.evaluation.popularity_days * DAY}


def _frequency_options(settings: Settings) -> dict[str, Any]:
    return {"half_life_seconds": settings.evaluation.half_life_days * DAY}


BASELINES.register("popularity")(
    RankBaseline(
        "popularity",
        "Popularity",
        "What most events named lately, for everyone.",
        rank=popularity,
        scored=popular_candidates,
        options=_popularity_options,
    )
)
BASELINES.register("personal_frequency")(
    RankBaseline(
        "personal_frequency",
        "Personal frequency",
        "What the entity has had, by how often; then what is popular.",
        rank=personal_frequency,
        scored=frequent_candidates,
        needs_repeats=True,
    )
)
BASELINES.register("recency_weighted_frequency")(
    RankBaseline(
        "recency_weighted_frequency",
        "Recency-weighted frequency",
        "What the entity has had, by how often, the latest counting most; then what is popular.",
        rank=recency_weighted_frequency,
        scored=frequent_candidates,
        needs_repeats=True,
        options=_frequency_options,
    )
)


def _check(k: int, among: str, **seconds: int) -> None:
    for name, value in {"k": k, **seconds}.items():
        if value < 1:
            raise ConfigError(f"{name} must be 1 or more: got {value}")
    if among not in ("all", "repeat", "explore"):
        raise ConfigError(f"among must be all, repeat or explore: got {among!r}")


def _recent_counts(history: History, window_seconds: int) -> Ids:
    """Events of each item younger than the window, int64 ``[n_items]``."""
    # the window is (anchor - window, anchor], as every window of the library
    return np.bincount(history.item[history.age < window_seconds], minlength=history.n_items)


def _popular(history: History, recent: Ids) -> Ids:
    """Items that have an event, most popular first, int64 ``[items with an event]``."""
    known = np.flatnonzero(history.totals)
    return known[np.lexsort((known, -history.totals[known], -recent[known]))]


def _personal(history: History, weight: Floats, k: int, among: Part, pad: bool) -> Ids:
    ranked = np.full((history.n_entities, k), -1, dtype=np.int64)
    if among != "explore":
        ranked = _top_of_past(history, _summed_weights(history, weight), k)
    if among != "repeat" and pad:
        order = _popular(history, _recent_counts(history, 30 * DAY))
        # a list shorter than k holds all that the entity has had, so "not had" is also "not listed"
        ranked = fill_lists(ranked, order, history.past)
    return ranked


def _summed_weights(history: History, weight: Floats) -> Floats:
    """Sum of the event weights of each (entity, item) pair of ``history.past.values``, float64 ``[M]``."""
    # youngest first within a pair, so that rounding doesn't depend on the order of the rows
    order = np.lexsort((history.age, history.item, history.entity))
    entity, item = history.entity[order], history.item[order]
    new = np.ones(order.size, dtype=np.bool_)
    new[1:] = (entity[1:] != entity[:-1]) | (item[1:] != item[:-1])
    pair = np.cumsum(new) - 1
    return np.bincount(pair, weights=weight[order], minlength=history.past.values.size).astype(np.float64)


def _top_of_past(history: History, score: Floats, k: int) -> Ids:
    """The k best items that each entity has had, given a score for each of ``history.past.values``."""
    past = history.past
    entity, item = past.row_of_value, past.values
    order = np.lexsort((item, -history.totals[item], -score, entity))
    # sorting by entity first leaves each entity's run where it was, so a place in the run is its rank
    rank = np.arange(item.size) - past.indptr[entity]
    kept = rank < k
    ranked = np.full((history.n_entities, k), -1, dtype=np.int64)
    ranked[entity[kept], rank[kept]] = item[order][kept]
    return ranked


def popular_items(history: History, window_seconds: int) -> Ids:
    """Items that have an event, those with most events younger than the window first, int64 ``[items]``."""
    return _popular(history, _recent_counts(history, window_seconds))


def fill_lists(ranked: Ids, candidates: Ids, had: Ragged) -> Ids:
    """Fill the tail of each list with the best candidates that the entity has not had.

    Args:
        ranked: lists, int64 ``[N, k]``, -1 at the tail.
        candidates: items, best first, int64 ``[C]``.
        had: what each of the N entities has had.
    """
    filled = ranked.copy()
    k = ranked.shape[1]
    open_rows = np.flatnonzero(ranked[:, -1] < 0) if candidates.size else np.empty(0, dtype=np.int64)
    # twice k candidates are enough for most; who has had more of them looks at twice as many again
    width = min(2 * k, candidates.size)
    while open_rows.size:
        step = max(1, CELLS // width)
        for rows in np.split(open_rows, range(step, open_rows.size, step)):
            offered = np.broadcast_to(candidates[:width], (rows.size, width))
            fresh = ~had.take(rows).contains(offered)  # [rows, width]
            taken = (ranked[rows] >= 0).sum(axis=1)
            slot = taken[:, None] + fresh.cumsum(axis=1) - 1
            row, column = np.nonzero(fresh & (slot < k))
            filled[rows[row], slot[row, column]] = candidates[column]
        open_rows = open_rows[filled[open_rows, -1] < 0]
        if width == candidates.size:
            break
        width = min(2 * width, candidates.size)
    return filled
