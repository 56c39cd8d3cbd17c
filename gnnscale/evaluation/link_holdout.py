"""The evaluate stage: the holdout table against what came true, with baselines beside it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gnnscale.arrays import Ragged
from gnnscale.batches import Examples, read_examples
from gnnscale.config import Settings
from gnnscale.evaluation.baselines.link_baselines import BASELINES
from gnnscale.evaluation.comparison import Comparison, MethodLists, compare
from gnnscale.inference import read_keys
from gnnscale.lake import Lake
from gnnscale.query import DAY, AnchorPlan, PredictiveQuery, Split
from gnnscale.retrieval import History, PairScores, rank_exact, read_history, read_pairs, read_vectors
from gnnscale.schema import DataError
from gnnscale.store import GraphStore

log = logging.getLogger(__name__)

PARTS = ("all", "repeat", "explore")


@dataclass(frozen=True)
class Holdout:
    """What the evaluation found.

    Args:
        comparison: every method's metrics with intervals.
        ranked: the model's targets for each evaluated entity, int64 ``[evaluated, top]``, node ids.
        scores: of ``ranked``, float32.
        truth: what came true for each evaluated entity.
        entities: node ids of the evaluated entities.
        history: events of all entities before the test anchor.
        audit: share of the exact top of the merged branches that the holdout table holds; another target of the same
            score is as good.
    """

    comparison: Comparison
    ranked: NDArray[np.int64]
    scores: NDArray[np.float32]
    truth: Ragged
    entities: NDArray[np.int64]
    history: History
    audit: float


def evaluate_holdout(
    settings: Settings, lake: Lake, store: GraphStore, query: PredictiveQuery, plan: AnchorPlan
) -> Holdout:
    """Compare ``holdout_<query>`` with the tower alone and with the baselines.

    Every method is scored three times: on all targets, on those that the entity had before (repeat), and on those
    that it had not (explore); in the latter two it ranks only such targets.

    Raises:
        LakeError: a table is missing.
        DataError: the holdout table lacks entities.
    """
    examples = read_examples(lake, settings.query.name, Split.TEST, store.manifest.origin)
    truth = Ragged(examples.indptr, examples.targets)
    history = read_history(store, query, plan.test)
    past = history.past.take(examples.entities)
    ranked, scores = _read_ranked(lake, settings, query, examples)
    model, tower = _model_lists(settings, lake, query, plan, examples, past, ranked)
    count = store.node_count(query.target.name)
    methods = [model, tower, *_baseline_lists(settings, history, examples.entities, query.top_k)]
    comparison = compare(methods, truth, past, count, resamples=settings.evaluation.resamples, seed=settings.seed)
    exact = rank_exact(*_branches(lake, settings, query, plan, examples), examples.entities, query.top_k)
    audit = float(((exact.targets == ranked) | tied(exact.scores, scores)).mean())
    return Holdout(comparison, ranked, scores, truth, examples.entities, history, audit)


def tied(scores: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which scores differ by no more than the order in which products of float32 are summed."""
    close: NDArray[np.bool_] = np.isclose(scores, others, rtol=1e-5, atol=1e-6)
    return close


def _read_ranked(
    lake: Lake, settings: Settings, query: PredictiveQuery, examples: Examples
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    rows = lake.read(f"holdout_{settings.query.name}")
    entity = _node_ids(rows["entity"], read_keys(lake, query.entity.name))
    target = _node_ids(rows["target"], read_keys(lake, query.target.name))
    place = np.full(int(entity.max()) + 1, -1, np.int64)
    evaluated = examples.entities[examples.entities <= entity.max()]
    place[evaluated] = np.arange(len(evaluated))
    wanted = place[entity] >= 0
    at = (place[entity[wanted]], rows["rank"].to_numpy()[wanted] - 1)
    ranked = np.full((len(examples), query.top_k), -1, np.int64)
    scores = np.full((len(examples), query.top_k), -np.inf, np.float32)
    ranked[at] = target[wanted]
    scores[at] = rows["score"].to_numpy()[wanted]
    if (ranked[:, 0] < 0).any():
        missing = int((ranked[:, 0] < 0).sum())
        raise DataError(f"holdout_{settings.query.name} lacks {missing:,} of {len(ranked):,} evaluated entities")
    return ranked, scores


def _node_ids(column: pa.ChunkedArray, keys: pa.Array) -> NDArray[np.int64]:
    return pc.index_in(column, value_set=keys).to_numpy().astype(np.int64)


def _branches(
    lake: Lake, settings: Settings, query: PredictiveQuery, plan: AnchorPlan, examples: Examples
) -> tuple[NDArray[np.float32], NDArray[np.float32], PairScores]:
    entities = read_vectors(lake, query.entity.name, plan.test)[examples.entities]
    return entities, read_vectors(lake, query.target.name, plan.test), read_pairs(lake, settings.query.name, plan.test)


def _model_lists(
    settings: Settings,
    lake: Lake,
    query: PredictiveQuery,
    plan: AnchorPlan,
    examples: Examples,
    past: Ragged,
    ranked: NDArray[np.int64],
) -> tuple[MethodLists, MethodLists]:
    entities, targets, pairs = _branches(lake, settings, query, plan, examples)
    rank = partial(rank_exact, entities, targets, rows=examples.entities, k=query.top_k, past=past)
    fused = {part: rank(pairs=pairs, among=part).targets for part in PARTS[1:]}
    tower = {part: rank(pairs=None, among=part).targets for part in PARTS}
    return MethodLists("model", ranked, **fused), MethodLists("tower", **tower)


def _baseline_lists(settings: Settings, history: History, entities: NDArray[np.int64], top: int) -> list[MethodLists]:
    own: dict[str, dict[str, Any]] = {
        "popularity": {"window_seconds": settings.evaluation.popularity_days * DAY},
        "recency_weighted_frequency": {"half_life_seconds": settings.evaluation.half_life_days * DAY},
    }
    lists = []
    for name, baseline in BASELINES.items():
        parts = {
            part: baseline(history, top, among=part, **own.get(name, {}))[entities]  # type: ignore[arg-type]
            for part in PARTS
        }
        lists.append(MethodLists(name, **parts))
    return lists
