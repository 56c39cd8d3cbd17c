"""The holdout of links against what came true, with the network and its tower alone and baselines beside it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gnnscale.arrays import Ragged
from gnnscale.batches import FEW_REPEATS, read_examples
from gnnscale.config import Settings
from gnnscale.evaluation.baselines.baseline import link_baselines
from gnnscale.evaluation.blend.blend import Blend, read_blend
from gnnscale.evaluation.blend.candidate_pool import best_of
from gnnscale.evaluation.blend.grown_trees import TREES
from gnnscale.evaluation.blend.link_blend import LinkBlender, forget_histories
from gnnscale.evaluation.blend.repeats import share_of_repeats
from gnnscale.evaluation.comparison import BLEND, MODEL, NETWORK, TOWER, Comparison, Part
from gnnscale.evaluation.holdout import Holdout, match_answers, node_ids
from gnnscale.evaluation.list_comparison import PARTS, MethodLists, compare_lists
from gnnscale.inference import read_keys
from gnnscale.lake import Lake
from gnnscale.metrics import find_list_metric
from gnnscale.query import AnchorPlan, PredictiveQuery, Split
from gnnscale.retrieval import (
    History,
    Neighbors,
    known_by,
    rank_exact,
    read_pairs,
    read_vectors,
    valid_nodes,
)
from gnnscale.store import GraphStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LinkHoldout(Holdout):
    """What the evaluation of ranked lists found.

    Args:
        ranked: the model's targets for each evaluated entity, int64 ``[evaluated, top]``, node ids.
        scores: of ``ranked``, float32.
        truth: what came true for each evaluated entity.
        entities: node ids of the evaluated entities, each once an anchor.
        anchors: epoch seconds of each.
        history: events of all entities before the last test anchor.
        blend: what the model's lists, or those beside them, are made of.
        index_recall: share of the exact top of the merged branches that the holdout table holds; another target of
            the same score is as good.
        beyond: metrics of the task that are left out, because they look further than lists reach and would repeat
            another.
    """

    ranked: NDArray[np.int64]
    scores: NDArray[np.float32]
    truth: Ragged
    entities: NDArray[np.int64]
    anchors: NDArray[np.int64]
    history: History
    blend: Blend
    index_recall: float
    beyond: tuple[str, ...] = ()

    def figures(self) -> dict[str, Any]:
        """The recall of the index, and metrics that are left out, for the evaluation record."""
        return {"index_recall": self.index_recall, "beyond": list(self.beyond)}

    @property
    def asked(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Node ids and anchors of the examples."""
        return self.entities, self.anchors

    def judge(self, answers: pa.Table | None, query: PredictiveQuery, lake: Lake) -> Comparison:
        """A model's lists against the same truth, alone."""
        ranked = self.ranked
        if answers is not None:
            ranked, _ = ranked_lists(answers, lake, query, self.entities, self.anchors)
        own, nothing = self.comparison, Ragged.from_lists([[]] * len(self.entities))
        count = int(max(ranked.max(initial=0), self.truth.values.max(initial=0))) + 1
        return compare_lists(
            own.task,
            [MethodLists(MODEL, ranked, ranked, ranked)],
            self.truth,
            nothing,
            count,
            MODEL,
            own.level,
            own.resamples,
            entities=self.entities,
        )


def reached_metrics(names: Sequence[str], top: int) -> dict[str, str]:
    """Metrics of lists by what they are called where these have so many rows, and what each was asked for as.

    ``recall@10`` of lists of five is ``recall@5``; one that looks further than the lists reach, where another of its
    kind looks less far, is left out.

    Args:
        names: such as ``recall@20``, in order.
        top: length of the lists.
    """
    beyond = metrics_beyond(names, top)
    found: dict[str, str] = {}
    for name in names:
        if name not in beyond:
            kind, k = name.rsplit("@", 1)
            found.setdefault(f"{kind}@{min(int(k), top)}", name)
    return found


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
    """Compare ``holdout_<query>`` with network and tower alone, or the blend, and with the baselines.

    Every method is scored three times: on all targets, on those that the entity had before (repeat), and on those
    that it had not (explore); in the latter two it ranks only such targets. Examples of all test anchors count
    together.

    Raises:
        LakeError: a table is missing.
        DataError: the holdout table lacks entities.
    """
    origin = store.manifest.origin
    examples = read_examples(lake, settings.query.name, Split.TEST, origin)
    blender = LinkBlender(settings, lake, store, query, read_blend(lake, settings.query.name))
    anchors = examples.anchors.astype(np.int64) + origin
    answers = lake.read(f"holdout_{settings.query.name}")
    ranked, scores = ranked_lists(answers, lake, query, examples.entities, anchors)
    lists = _Lists(len(examples), query.top_k)
    pasts, recalls, history = [], [], None
    order = [np.zeros(0, np.int64), *(np.flatnonzero(anchors == anchor) for anchor in np.unique(anchors))]
    for rows in order[1:]:
        history = blender.history(int(anchors[rows[0]]))
        pasts.append(history.past.take(examples.entities[rows]))
        found = _own_lists(settings, lake, blender, int(anchors[rows[0]]), examples.entities[rows], pasts[-1])
        alone = settings.model.blend == "off" or blender.blend.is_network
        answer = found[NETWORK if alone else BLEND]["all"]
        # Rounding may swap two targets of a list, whose ranks a blend then counts in another order.
        listed = Ragged.from_pairs(*_listed(answer.targets), len(rows)).contains(ranked[rows])
        recalls.append((listed | tied(answer.scores, scores[rows])).ravel())
        for name, parts in found.items():
            lists.put(name, rows, {part: near.targets for part, near in parts.items()})
        beside = _baseline_lists(settings, blender, history, examples.entities[rows])
        for name, own in (
            beside | _trees_lists(blender, int(anchors[rows[0]]), examples.entities[rows], pasts[-1])
        ).items():
            lists.put(name, rows, own)
    assert history is not None
    # The examples stand in the order of the anchors.
    past = Ragged.from_pairs(
        np.concatenate([rows[own.row_of_value] for rows, own in zip(order[1:], pasts, strict=True)]),
        np.concatenate([own.values for own in pasts]),
        len(examples),
    )
    methods = lists.methods(ranked, off=settings.model.blend == "off")
    resamples, seed = settings.evaluation.resamples, settings.seed
    wanted = tuple(dict.fromkeys((*query.task_type.metrics, *settings.evaluation.metrics)))
    beyond = metrics_beyond(wanted, query.top_k)
    if beyond:
        log.info("%s left out: lists have %d rows (TOP %d)", ", ".join(beyond), query.top_k, query.top_k)
    task = replace(query.task_type, metrics=tuple(reached_metrics(wanted, query.top_k)))
    truth, count = Ragged(examples.indptr, examples.targets), store.node_count(query.target.name)
    cold = past.counts == 0 if query.ranks_own_table else None
    comparison = compare_lists(
        task, methods, truth, past, count, resamples=resamples, seed=seed, entities=examples.entities, cold=cold
    )
    index_recall = float(np.concatenate(recalls).mean())
    forget_histories()
    return LinkHoldout(
        comparison, ranked, scores, truth, examples.entities, anchors, history, blender.blend, index_recall, beyond
    )


def _listed(targets: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and target of each entry of lists."""
    rows, places = np.nonzero(targets >= 0)
    return rows, targets[rows, places]


class _Lists:
    """Lists of methods, gathered an anchor at a time."""

    def __init__(self, examples: int, top: int) -> None:
        self._shape = examples, top
        self._found: dict[str, dict[Part, NDArray[np.int64]]] = {}

    def put(self, name: str, rows: NDArray[np.int64], parts: Mapping[Part, NDArray[np.int64]]) -> None:
        known = self._found.setdefault(name, {part: np.full(self._shape, -1, np.int64) for part in PARTS})
        for part, targets in parts.items():
            known[part][rows] = targets

    def methods(self, ranked: NDArray[np.int64], off: bool) -> list[MethodLists]:
        """The model, with the lists that it has written, then what is beside it."""
        own, other = (NETWORK, BLEND) if off else (BLEND, NETWORK)
        found = dict(self._found)
        network = found[NETWORK]
        model = {**found.pop(own), "all": ranked}
        beside = {name: found.pop(name) for name in (other, TOWER)}
        if all(np.array_equal(lists, network[part]) for part, lists in beside[TOWER].items()):
            # A network of towers alone, which its name says already.
            del beside[TOWER]
        return [MethodLists(name, **parts) for name, parts in {MODEL: model, **beside, **found}.items()]


def tied(scores: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which scores differ by no more than the order in which products of float32 are summed."""
    close: NDArray[np.bool_] = np.isclose(scores, others, rtol=1e-5, atol=1e-6)
    return close


def ranked_lists(
    answers: pa.Table, lake: Lake, query: PredictiveQuery, entities: NDArray[np.int64], anchors: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Targets and their scores, each ``[examples, top]``, as rows of answers have them.

    Raises:
        DataError: an example has no answer.
    """
    told = None if query.pseudo_timed_tables else anchors
    rows, example = match_answers(answers, lake, query, entities, told)
    at = (example, rows["rank"].to_numpy() - 1)
    ranked = np.full((len(entities), query.top_k), -1, np.int64)
    scores = np.full((len(entities), query.top_k), -np.inf, np.float32)
    ranked[at] = node_ids(rows["target"], read_keys(lake, query.target.name))
    scores[at] = rows["score"].to_numpy()
    return ranked, scores


def _own_lists(
    settings: Settings, lake: Lake, blender: LinkBlender, anchor: int, entities: NDArray[np.int64], past: Ragged
) -> dict[str, dict[Part, Neighbors]]:
    """Lists of network, tower and blend for entities at one anchor, from the vectors of all targets."""
    query, k = blender.query, blender.query.top_k
    vectors = read_vectors(lake, query.entity_embeddings, anchor)[entities]
    targets = read_vectors(lake, query.target.name, anchor)
    pairs = read_pairs(lake, settings.query.name, anchor)
    there = valid_nodes(lake, query.target, known_by(query, anchor))
    but = entities if query.ranks_own_table else None
    rank = partial(rank_exact, vectors, targets, rows=entities, past=past, but=but, there=there)
    deep = {part: rank(pairs=pairs, k=blender.depth, among=part) for part in PARTS}
    tower = {part: rank(pairs=None, k=k, among=part) for part in PARTS}
    if blender.blend.new_only:
        deep["all"], tower["all"] = deep["explore"], tower["explore"]
    candidates = blender.candidates(anchor, entities)
    blended: dict[Part, Neighbors] = {}
    for part in PARTS:
        pool = blender.pool([*candidates, (deep[part].targets, deep[part].scores)])
        kept = there[pool.targets]
        if part != "all" or blender.blend.new_only:
            kept &= past.contains(pool.targets) == (part == "repeat")
        if but is not None:
            kept &= pool.targets != but[:, None]
        pool = pool.allowed(kept)
        blended[part] = Neighbors(*best_of(pool.targets, pool.scores(blender.weights), k))
    network = {part: Neighbors(near.targets[:, :k], near.scores[:, :k]) for part, near in deep.items()}
    return {BLEND: blended, NETWORK: network, TOWER: tower}


def without_itself(ranked: NDArray[np.int64], entities: NDArray[np.int64]) -> NDArray[np.int64]:
    """Lists ``[N, k]`` of entities that are ranked for each other: -1 is last in those that named their own."""
    itself = ranked == entities[:, None]
    order = np.argsort(itself, axis=1, kind="stable")
    return np.take_along_axis(np.where(itself, -1, ranked), order, axis=1)


def _baseline_lists(
    settings: Settings, blender: LinkBlender, history: History, entities: NDArray[np.int64]
) -> dict[str, dict[Part, NDArray[np.int64]]]:
    repeats = blender.blend.repeats
    few = (share_of_repeats(history) if repeats is None else repeats) < FEW_REPEATS
    new_only = blender.query.new_only or few
    found = {}
    query, k = blender.query, blender.query.top_k
    for name, baseline in link_baselines(query.task_type, query).items():
        if baseline.needs_repeats if new_only else baseline.few_repeats:
            continue
        # One more, for the place of the entity itself.
        lists = baseline.lists(settings, history, entities, k + query.ranks_own_table)
        if query.ranks_own_table:
            lists = {part: without_itself(ranked, entities)[:, :k] for part, ranked in lists.items()}
        if new_only:
            lists["all"] = lists["explore"]
        found[name] = lists
    return found


def _trees_lists(
    blender: LinkBlender, anchor: int, entities: NDArray[np.int64], past: Ragged
) -> dict[str, dict[Part, NDArray[np.int64]]]:
    """Lists by the trees that were grown beside the network, where there are any."""
    if blender.blend.new_only or not blender.trees.there:
        return {}
    k = blender.query.top_k
    return {TREES: {part: blender.trees.candidates(anchor, entities, k, past, part)[0] for part in PARTS}}
