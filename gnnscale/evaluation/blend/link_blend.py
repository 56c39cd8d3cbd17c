"""The blend of a link task: candidates of network and baselines, ordered by weights that validation has found."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from gnnscale.arrays import Ids
from gnnscale.config import Settings
from gnnscale.evaluation.baselines.baseline import LinkBaseline, link_baselines
from gnnscale.evaluation.blend.blend import Blend
from gnnscale.evaluation.blend.candidate_pool import Pool, Transform, Values, best_of, pool_candidates
from gnnscale.evaluation.blend.grown_trees import TREES, GrownTrees
from gnnscale.evaluation.comparison import NETWORK, Part
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery, TaskSpec
from gnnscale.retrieval import (
    Diversity,
    Filter,
    History,
    Neighbors,
    read_history,
)
from gnnscale.store import GraphStore

log = logging.getLogger(__name__)

DEPTH: Final = 100
"""Candidates that each method gives an entity, or four lists' worth where that is more."""

BLOCK: Final = 65_536
"""Entities whose candidates the baselines give at once."""

KEPT_EVENTS: Final = 5_000_000
KEPT_HISTORIES: Final = 2
"""Histories that are kept between stages, and most events of one: 120 MB, and what is learned of it."""

POOLED: Final = 4_096
"""Entities whose candidates are put together at once."""

Lists = tuple[Ids, Values]
"""Targets and scores, both ``[N, K]``."""


def blend_depth(top_k: int) -> int:
    """Candidates that each method gives an entity, for lists of a length."""
    return max(DEPTH, 4 * top_k)


def serving_baselines(
    task: TaskSpec, new_only: bool, query: PredictiveQuery | None = None
) -> tuple[dict[str, LinkBaseline], dict[str, str]]:
    """The baselines that can take part in a blend, and why others can't.

    Args:
        task: of links.
        new_only: whether what an entity had is left out.
        query: bound query that they have to fit; None for any.
    """
    found, left_out = {}, {}
    for name, baseline in link_baselines(task, query).items():
        if not baseline.serves:
            left_out[name] = "it can't give every entity a list"
        elif new_only and baseline.needs_repeats:
            left_out[name] = "it orders what an entity has had, and that is left out"
        elif not new_only and baseline.few_repeats:
            left_out[name] = "it is for what has not been had, and much of what was comes back"
        else:
            found[name] = baseline
    return found, left_out


def baseline_candidates(
    settings: Settings, baselines: Mapping[str, LinkBaseline], history: History, entities: Ids, depth: int, among: Part
) -> list[Lists]:
    """Candidates of each baseline for some entities, ``[N, depth]``."""
    return [
        baseline.scored_lists(settings, history, entities, depth, among=among)
        if among != "all"
        else baseline.scored_lists(settings, history, entities, depth)
        for baseline in baselines.values()
    ]


_KEPT: OrderedDict[tuple[str, str, int], History] = OrderedDict()
"""Histories of the last anchors, so that what retrieval has learned of the test's serves the evaluation too."""


def kept_history(store: GraphStore, query: PredictiveQuery, anchor: int) -> History:
    """Events up to an anchor, epoch seconds; the last two are kept where they are few.

    Baselines keep what they have learned of a history as long as it is in use.
    """
    graph = hashlib.sha256(repr((store.folder, store.manifest.to_dict())).encode()).hexdigest()
    key = graph, f"{query.text} {query.split_column}", anchor
    if key not in _KEPT:
        history = read_history(store, query, anchor)
        if history.age.size > KEPT_EVENTS:
            return history
        _KEPT[key] = history
        while len(_KEPT) > KEPT_HISTORIES:
            _KEPT.popitem(last=False)
    return _KEPT[key]


def forget_histories() -> None:
    """Let go of what :func:`kept_history` keeps."""
    _KEPT.clear()


class LinkBlender:
    """Candidates of the members of a blend beside those of the network, as one list; a :class:`Reranker`.

    The events before the last anchor that was asked for are kept.

    Args:
        settings: of the run; what baselines go by counts.
        lake: of the models.
        store: the graph.
        query: bound query of a link task.
        blend: members and weights.

    Attributes:
        trees: that were grown beside the network.
        depth: candidates that the network is to give.
        stamp: of the blend.
    """

    def __init__(self, settings: Settings, lake: Lake, store: GraphStore, query: PredictiveQuery, blend: Blend) -> None:
        self.settings, self.store, self.query, self.blend = settings, store, query, blend
        self.trees = GrownTrees(settings, lake, store)
        self.depth = blend.depth or blend_depth(query.top_k)
        options = settings.evaluation.model_dump(mode="json", exclude={"resamples", "examples"})
        content = json.dumps([blend.to_dict(), options], sort_keys=True)
        self.stamp = hashlib.sha256(content.encode()).hexdigest()
        known, _ = serving_baselines(query.task_type, blend.new_only, query)
        self.baselines = {name: known[name] for name in blend.baselines if name in known}
        weights = {member.name: member.weight for member in blend.members}
        beside = (TREES,) if TREES in weights else ()
        self.weights = np.array([weights.get(name, 0.0) for name in (*self.baselines, *beside, NETWORK)])
        self._history: tuple[int, History] | None = None

    def history(self, anchor: int) -> History:
        """Events up to an anchor, epoch seconds."""
        if self._history is None or self._history[0] != anchor:
            self._history = anchor, kept_history(self.store, self.query, anchor)
        return self._history[1]

    def rank(
        self, anchor: int, rows: Ids, found: Neighbors, keep: Filter, diversity: Diversity | None, k: int
    ) -> Neighbors:
        """Lists of some entities; see :class:`gnnscale.retrieval.Reranker`."""
        parts = [(np.zeros((0, k), np.int64), np.zeros((0, k), np.float32))]
        for start in range(0, len(rows), BLOCK):
            block = slice(start, start + BLOCK)
            own = self.candidates(anchor, rows[block])
            lists = [*own, (found.targets[block], found.scores[block])]
            for first in range(0, len(rows[block]), POOLED):
                part = slice(first, first + POOLED)
                pool = self.pool([(ids[part], scores[part]) for ids, scores in lists])
                pool = pool.allowed(keep.keep(rows[block][part], pool.targets))
                categories, cap = (None, 0) if diversity is None else (diversity.categories, diversity.cap)
                parts.append(best_of(pool.targets, pool.scores(self.weights), k, categories, cap))
        return Neighbors(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    def candidates(self, anchor: int, entities: Ids) -> list[Lists]:
        """Candidates of the members beside the network, ``[entities, depth]``."""
        found: list[Lists] = []
        among: Part = "explore" if self.blend.new_only else "all"
        if self.baselines:
            history = self.history(anchor)
            found = baseline_candidates(self.settings, self.baselines, history, entities, self.depth, among)
        if TREES in self.blend.names:
            found.append(self.trees.candidates(anchor, entities, self.depth))
        return found

    def pool(self, lists: Sequence[Lists]) -> Pool:
        """Candidates of the members' baselines, and then of the network, put together."""
        transform: Transform = "z" if self.blend.transform == "z" else "rank"
        return pool_candidates(lists, transform, self.depth)
