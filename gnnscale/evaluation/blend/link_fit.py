"""The weights of a link task's blend, by the validation examples."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import Ids, Ragged
from gnnscale.batches import FEW_REPEATS, Examples, read_examples
from gnnscale.config import Settings
from gnnscale.evaluation.baselines.baseline import link_baselines
from gnnscale.evaluation.blend.blend import NETWORK_ALONE, Blend
from gnnscale.evaluation.blend.calibration import fit_calibration
from gnnscale.evaluation.blend.candidate_pool import TRANSFORMS, Pool, Transform, best_of, pool_candidates
from gnnscale.evaluation.blend.grown_trees import TREES, GrownTrees
from gnnscale.evaluation.blend.link_blend import (
    Lists,
    baseline_candidates,
    blend_depth,
    serving_baselines,
)
from gnnscale.evaluation.blend.repeats import share_of_repeats
from gnnscale.evaluation.blend.weights import Weights, search_weights
from gnnscale.evaluation.comparison import BLEND, NETWORK, Part
from gnnscale.lake import Lake
from gnnscale.metrics import find_list_metric
from gnnscale.query import PredictiveQuery, Split, TaskSpec
from gnnscale.retrieval import History, PairScores, known_by, rank_exact, read_history, valid_nodes
from gnnscale.sampling import permutation, stream_key
from gnnscale.schema import EdgeType
from gnnscale.store import GraphStore
from gnnscale.training import LinkPredictor, load_link_model

log = logging.getLogger(__name__)

MOST_EVENTS: Final = 200_000_000
"""Events that baselines are made of: a sorted copy of so many takes some 15 GB."""

MOST_EXAMPLES: Final = 2_000
"""Validation examples that weights are searched by; of more, a sample that the seed decides."""


def fit_link_blend(settings: Settings, lake: Lake, store: GraphStore, query: PredictiveQuery) -> Blend:
    """The weights of network and baselines by the validation examples.

    Args:
        settings: as the model was trained with.
        lake: holds labels and model.
        store: of the graph.
        query: bound query of a link task.

    Raises:
        LakeError: there is no model, or it does not fit.
    """
    origin, depth = store.manifest.origin, blend_depth(query.top_k)
    events = len(store.adjacency(EdgeType(query.entity_link, reverse=True)).neighbors)
    if events > MOST_EVENTS:
        why = f"{events:,} events are more than the {MOST_EVENTS:,} that baselines can hold"
        log.info("blend without baselines: %s", why)
        alone = replace(NETWORK_ALONE, depth=depth, new_only=query.new_only)
        return replace(alone, left_out=dict.fromkeys(link_baselines(query.task_type, query), why))
    examples = _sampled(read_examples(lake, settings.query.name, Split.VALIDATION, origin), settings.seed)
    anchors = np.unique(examples.anchors)
    if not len(anchors):
        return replace(NETWORK_ALONE, depth=depth, new_only=query.new_only)
    history = read_history(store, query, int(anchors[0]) + origin)
    repeats = share_of_repeats(history)
    new_only = query.new_only or (repeats < FEW_REPEATS and settings.retrieval.filters.bought == "auto")
    baselines, left_out = serving_baselines(query.task_type, new_only, query)
    for name, why in left_out.items():
        log.info("blend without %s: %s", name, why)
    predictor = load_link_model(settings, lake, store, held_out=True)
    trees = GrownTrees(settings, lake, store, held_out=True)
    beside = [] if new_only or not trees.there else [TREES]
    among: Part = "explore" if new_only else "all"
    names = [*baselines, *beside, NETWORK]
    lists: list[list[Lists]] = [[] for _ in names]
    order = []
    for anchor in anchors:
        rows = np.flatnonzero(examples.anchors == anchor)
        if anchor != anchors[0]:
            history = read_history(store, query, int(anchor) + origin)
        there = valid_nodes(lake, query.target, known_by(query, int(anchor) + origin))
        entities = examples.entities[rows]
        own = baseline_candidates(settings, baselines, history, entities, depth, among)
        if beside:
            own.append(trees.candidates(int(anchor) + origin, entities, depth))
        if query.ranks_own_table:
            own = [(np.where(ids == entities[:, None], -1, ids), scores) for ids, scores in own]
        own.append(_network_candidates(predictor, store, query, int(anchor), entities, depth, history, among, there))
        for method, (ids, scores) in zip(lists, own, strict=True):
            method.append((np.where((ids >= 0) & there[ids], ids, -1), scores))
        order.append(rows)
    whole = [tuple(np.concatenate(part) for part in zip(*method, strict=True)) for method in lists]
    shown = examples.take(np.concatenate(order))
    truth = Ragged(shown.indptr, shown.targets)
    pools = {transform: pool_candidates(whole, transform, depth) for transform in TRANSFORMS}  # type: ignore[arg-type]
    found = fit_pools(query.task_type, query.top_k, pools, names, truth, shown.entities)
    found = replace(found, depth=depth, new_only=new_only, repeats=repeats, left_out=left_out)
    if (wanted := settings.retrieval.calibration) is not None:
        if settings.model.blend == "off" or found.is_network:
            targets, scores = whole[-1]
        else:
            pool = pools["z" if found.transform == "z" else "rank"]
            weights = {member.name: member.weight for member in found.members}
            targets, scores = pool.targets, pool.scores(np.array([weights.get(name, 0.0) for name in names]))
        targets, scores = best_of(targets, scores, query.top_k)
        found = replace(found, calibration=fit_calibration(wanted, scores, truth.contains(targets) & (targets >= 0)))
    log.info("blend by %s examples of validation: %s", f"{found.examples:,}", found.in_words())
    if new_only and not query.new_only:
        log.info("%.1f %% of the events repeat one: what an entity has had is left out of its lists", 100 * repeats)
    return found


def fit_pools(
    task: TaskSpec, top: int, pools: Mapping[Transform, Pool], names: Sequence[str], truth: Ragged, entities: Ids
) -> Blend:
    """The transform and the weights that rank best.

    Args:
        task: of links; the first metric of its validation is what counts.
        top: length of the lists that are wanted.
        pools: transform -> candidates of the methods, ``[methods, N, U]``.
        names: of the methods; of equally good ones the first is taken.
        truth: what came true of each of N examples.
        entities: of each example, int64 ``[N]``.
    """
    metric, k = find_list_metric(task.validation[0])
    assert metric.each is not None
    each, length = metric.each, min(k, max(1, top))
    size = truth.counts
    best: Blend | None = None
    most = -np.inf
    for transform, pool in pools.items():
        right = truth.contains(pool.targets)

        def loss_of(weights: Weights, pool: Pool = pool, right: NDArray[np.bool_] = right) -> NDArray[np.float64]:
            first = _first_columns(pool, weights, length)
            hits = np.take_along_axis(right, first, axis=1)
            return -np.asarray(each(hits, np.maximum(size, 1), length), np.float64)

        found = search_weights(loss_of, len(names), entities)
        # The ranks have no scale that could be off, and are taken where both are as good.
        if -found.loss > most:
            most = -found.loss
            figures = {name: -float(loss) for name, loss in zip(names, found.single, strict=True)}
            figures[BLEND] = -found.loss
            best = Blend.of(
                names,
                found.weights.tolist(),
                metric=f"{task.validation[0].partition('@')[0]}@{length}",
                figures=figures,
                examples=len(truth),
                entities=len(np.unique(entities)),
                transform=transform,
            )
    assert best is not None
    return best


def _first_columns(pool: Pool, weights: Weights, k: int) -> Ids:
    """Columns of the k best of each row, best first, ties to the smaller target; ``[N, min(k, U)]``."""
    scores = pool.scores(weights)
    k = min(k, scores.shape[1])
    # Targets ascend along a row, so that a stable sort leaves ties to the smaller.
    if scores.shape[1] > 4 * k:
        edge = -np.partition(-scores, k - 1, axis=1)[:, k - 1 : k]
        scores = np.where(scores >= edge, scores, np.float32(-np.inf))
    return np.argsort(-scores, axis=1, kind="stable")[:, :k].astype(np.int64)


def _sampled(examples: Examples, seed: int) -> Examples:
    """Examples that have a target, at most so many."""
    rows = np.flatnonzero(np.diff(examples.indptr) > 0)
    if len(rows) > MOST_EXAMPLES:
        rows = np.sort(rows[permutation(stream_key(seed, 0, "blend/examples"), len(rows))[:MOST_EXAMPLES]])
    return examples.take(rows)


def _network_candidates(
    predictor: LinkPredictor,
    store: GraphStore,
    query: PredictiveQuery,
    anchor: int,
    entities: Ids,
    depth: int,
    history: History,
    among: Part,
    there: NDArray[np.bool_],
) -> Lists:
    """What the network ranks first of the targets that are there, ``[entities, depth]``.

    The anchor is in seconds after the origin.
    """
    count, size = store.node_count(query.target.name), 256
    size = predictor.targets_at_once
    starts = range(0, count, size)
    batches = (predictor.target_batch(np.arange(s, min(count, s + size)), anchor) for s in starts)
    targets = np.concatenate([predictor.encode_targets(batch) for batch in batches])
    found = []
    for start in range(0, len(entities), size):
        part = np.sort(entities[start : start + size])
        scored = predictor.score_entities(predictor.entity_batch(part, anchor))
        counts = np.zeros(store.node_count(query.entity.name), np.int64)
        counts[part] = scored.counts
        pairs = PairScores(np.concatenate([[0], np.cumsum(counts)]), scored.targets, scored.scores)
        past = history.past.take(part)
        but = part if query.ranks_own_table else None
        ranked = rank_exact(scored.vectors, targets, pairs, part, depth, past, among, but, there)
        back = np.argsort(np.argsort(entities[start : start + size], kind="stable"), kind="stable")
        found.append((ranked.targets[back], ranked.scores[back]))
    ids, scores = (np.concatenate(part) for part in zip(*found, strict=True))
    return ids, np.where(ids >= 0, scores, np.float32(-np.inf))
