"""The holdout of links against what came true, with the tower alone and baselines beside it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import Ragged
from gnnscale.batches import Examples, read_examples
from gnnscale.config import Settings
from gnnscale.evaluation.baselines.baseline import link_baselines
from gnnscale.evaluation.comparison import MODEL, TOWER
from gnnscale.evaluation.holdout import Holdout, node_ids, read_answers
from gnnscale.evaluation.list_comparison import PARTS, MethodLists, compare_lists
from gnnscale.inference import read_keys
from gnnscale.lake import Lake
from gnnscale.metrics import find_list_metric
from gnnscale.query import AnchorPlan, PredictiveQuery, Split
from gnnscale.retrieval import History, PairScores, rank_exact, read_history, read_pairs, read_vectors
from gnnscale.store import GraphStore

log = logging.getLogger(__name__)

FEW_REPEATS = 0.05
"""Share of the events that repeat an earlier one, below which a baseline does best to leave out what was had."""


@dataclass(frozen=True, eq=False)
class LinkHoldout(Holdout):
    """What the evaluation of ranked lists found.

    Args:
        ranked: the model's targets for each evaluated entity, int64 ``[evaluated, top]``, node ids.
        scores: of ``ranked``, float32.
        truth: what came true for each evaluated entity.
        entities: node ids of the evaluated entities.
        history: events of all entities before the test anchor.
        index_recall: share of the exact top of the merged branches that the holdout table holds; another target of
            the same score is as good.
        beyond: metrics of the task that are left out, because they look further than lists reach and would repeat
            another.
    """

    ranked: NDArray[np.int64]
    scores: NDArray[np.float32]
    truth: Ragged
    entities: NDArray[np.int64]
    history: History
    index_recall: float
    beyond: tuple[str, ...] = ()

    def figures(self) -> dict[str, Any]:
        """The recall of the index, and metrics that are left out, for the evaluation record."""
        return {"index_recall": self.index_recall, "beyond": list(self.beyond)}


def metrics_beyond(names: Sequence[str], top: int) -> tuple[str, ...]:
    """Metrics of lists that look further than the lists reach, where another of their kind looks less far.

    Args:
        names: such as ``recall@20``.
        top: length of the lists.
    """
    found = {name: find_list_metric(name) for name in names}
    return tuple(
        name
        for name, (metric, k) in found.items()
        if k > top and any(other is metric and less < k for other, less in found.values())
    )


def evaluate_links(
    settings: Settings, lake: Lake, store: GraphStore, query: PredictiveQuery, plan: AnchorPlan
) -> LinkHoldout:
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
    methods = [model, tower, *_baseline_lists(settings, query, history, examples.entities)]
    resamples, seed = settings.evaluation.resamples, settings.seed
    beyond = metrics_beyond(query.task_type.metrics, query.top_k)
    if beyond:
        log.info("%s left out: lists have %d rows (TOP %d)", ", ".join(beyond), query.top_k, query.top_k)
    task = replace(query.task_type, metrics=tuple(m for m in query.task_type.metrics if m not in beyond))
    comparison = compare_lists(task, methods, truth, past, count, resamples=resamples, seed=seed)
    exact = rank_exact(*_branches(lake, settings, query, plan, examples), examples.entities, query.top_k)
    index_recall = float(((exact.targets == ranked) | tied(exact.scores, scores)).mean())
    return LinkHoldout(comparison, ranked, scores, truth, examples.entities, history, index_recall, beyond)


def tied(scores: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which scores differ by no more than the order in which products of float32 are summed."""
    close: NDArray[np.bool_] = np.isclose(scores, others, rtol=1e-5, atol=1e-6)
    return close


def _read_ranked(
    lake: Lake, settings: Settings, query: PredictiveQuery, examples: Examples
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    rows, example = read_answers(lake, settings.query.name, query, examples.entities)
    at = (example, rows["rank"].to_numpy() - 1)
    ranked = np.full((len(examples), query.top_k), -1, np.int64)
    scores = np.full((len(examples), query.top_k), -np.inf, np.float32)
    ranked[at] = node_ids(rows["target"], read_keys(lake, query.target.name))
    scores[at] = rows["score"].to_numpy()
    return ranked, scores


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
    return MethodLists(MODEL, ranked, **fused), MethodLists(TOWER, **tower)


def _baseline_lists(
    settings: Settings, query: PredictiveQuery, history: History, entities: NDArray[np.int64]
) -> list[MethodLists]:
    repeated = share_of_repeats(history)
    new_only = repeated < FEW_REPEATS
    if new_only:
        log.info("%.1f %% of the events repeat one: baselines leave out what an entity has had", 100 * repeated)
    methods = []
    for name, baseline in link_baselines(query.task_type).items():
        if new_only and baseline.needs_repeats:
            continue
        lists = baseline.lists(settings, history, entities, query.top_k)
        if new_only:
            lists["all"] = lists["explore"]
        methods.append(MethodLists(name, **lists))
    return methods


def share_of_repeats(history: History) -> float:
    """The share of the events whose entity had the item at an earlier time; 0 without events."""
    times = np.unique(np.stack([history.entity, history.item, history.age], axis=1), axis=0)
    return 1.0 - len(history.past.values) / len(times) if len(times) else 0.0
