"""The retrieve stage: search, filters, merge, and answers under the tables' own keys."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import gnnscale
from gnnscale.arrays import scratch_folder
from gnnscale.config import Settings
from gnnscale.inference import query_population, read_keys
from gnnscale.lake import Lake, fingerprint
from gnnscale.query import AnchorPlan, PredictiveQuery
from gnnscale.retrieval.answers import Answers
from gnnscale.retrieval.embeddings import PairScores, check_metric, read_pairs, read_vectors
from gnnscale.retrieval.filters.diversity import Diversity
from gnnscale.retrieval.filters.filter import Filter
from gnnscale.retrieval.filters.query_filters import (
    holdout_filter,
    known_by,
    read_diversity,
    settings_filter,
    valid_nodes,
)
from gnnscale.retrieval.index.recall import Recall, measure_recall
from gnnscale.retrieval.index.saved import IndexManifest, current_manifest
from gnnscale.retrieval.index_shards.shard_pool import StartShards
from gnnscale.retrieval.ranking.allowed_search import AllowedSearch
from gnnscale.retrieval.ranking.calibration import Calibration
from gnnscale.retrieval.ranking.exploration import Exploration
from gnnscale.retrieval.ranking.rank_batch import Ranked, RankingRule, Reranker, rank_batch
from gnnscale.retrieval.targets import Targets, open_targets
from gnnscale.store import GraphStore

log = logging.getLogger(__name__)

RERANKED = 65_536
"""Entities whose candidates are held at once where a reranker orders them."""


@dataclass(frozen=True)
class Retrieved:
    """What a run of the stage did.

    Args:
        rows: of ``predictions_<query>``.
        entities: that were asked about there.
        index: of the predictions' anchor.
        recall: how much of exact search the predictions hold, filters and pairs and all.
    """

    rows: int
    entities: int
    index: IndexManifest
    recall: Recall


def retrieve(
    settings: Settings,
    lake: Lake,
    query: PredictiveQuery,
    plan: AnchorPlan,
    store: GraphStore | None = None,
    advance: Callable[[int], None] = lambda rows: None,
    run_nonce: str = "",
    start_workers: StartShards | None = None,
    reranker: Reranker | None = None,
    new_only: bool = False,
    calibration: Calibration | None = None,
) -> Retrieved:
    """Write ``predictions_<query>`` at the latest anchor and ``holdout_<query>`` at the test anchors.

    Columns: entity and target (keys of their tables), rank (from 1), score, anchor_time (null where a query without a
    window takes events without their times); with exploration also explored, with a calibration probability. Filters,
    diversity, exploration and calibration are those of the predictions; the holdout, which the model is judged by, has
    all targets that were there, but for what ``new_only`` leaves out. Files are written while the search goes on, and a
    run that was killed goes on after the last one that it finished.

    Args:
        settings: sections ``query`` and ``retrieval`` count.
        lake: holds embeddings, pairs and indexes.
        query: bound query.
        plan: its anchors.
        store: of the graph; needed where what was bought is left out.
        advance: called with the number of entities that are done.
        run_nonce: a word that no run of these inputs had, to make what is there again.
        start_workers: starts processes, for an index of several shards.
        reranker: orders what the search finds anew; None leaves it.
        new_only: whether nothing is given that the entity had before the anchor, where filters leave that open.
        calibration: from scores of the predictions to probabilities, below the least of which no row is given.

    Raises:
        ConfigError: the index is in several shards, and there is nothing to start processes by.
        LakeError, DataError: embeddings or indexes are missing, broken or out of date, or a list names none that is
            known. Unless it is the embeddings of entities or pairs, no table has changed.
    """
    keys = read_keys(lake, query.entity.name), read_keys(lake, query.target.name)
    # What is at fault is reported before anything is written.
    for anchor in (*plan.tests, plan.latest):
        current_manifest(lake, settings.query.name, anchor)
    rules = (
        settings_filter(settings, lake, query, plan.latest, store, new_only),
        read_diversity(settings, lake, query),
    )
    owner = f"{lake.uri} {settings.query.name}"
    timed = not query.pseudo_timed_tables
    for final, anchors in ((False, plan.tests), (True, (plan.latest,))):
        table = f"{'predictions' if final else 'holdout'}_{settings.query.name}"
        explored = final and settings.retrieval.exploration > 0
        beside = [reranker.stamp if reranker else "", new_only, run_nonce]
        curve = calibration if final else None
        beside += [repr(curve)] if curve is not None else []
        digest = _fingerprint(settings, lake, query, anchors, final, beside)
        answers = Answers(lake, table, settings.query.name, timed, *keys, explored, digest, curve)
        answers.remove_unfinished()
        written = {}
        for anchor in anchors:
            with (
                scratch_folder(lake.cache_folder(settings.lake.cache), "search", owner) as folder,
                open_targets(settings, lake, query, anchor, start_workers) as targets,
            ):
                file = folder / "entities.npy"
                keep = rules if final else (holdout_filter(settings, lake, query, anchor, store, new_only), None)
                side = _Side.open(settings, lake, query, targets, anchor, final, keep, file, reranker)
                entities = side.entities_asked(settings, lake, query)
                written[anchor] = answers.write(anchor, entities, settings.retrieval.partition_rows, side.rank, advance)
                if final:
                    recall = side.measure(entities, settings.retrieval.index.sample, settings.seed)
                    log.info("%s: %s against exact search", table, recall)
        rows = answers.commit(written)
        log.info("%s: %s rows", table, f"{rows:,}")
    return Retrieved(rows, len(entities), side.targets.manifest, recall)


@dataclass(frozen=True, eq=False)
class _Side:
    """One table's search: everything at one anchor."""

    search: AllowedSearch
    rule: RankingRule
    entities: NDArray[np.float32]
    targets: Targets
    anchor: int
    final: bool
    reranker: Reranker | None

    @classmethod
    def open(
        cls,
        settings: Settings,
        lake: Lake,
        query: PredictiveQuery,
        targets: Targets,
        anchor: int,
        final: bool,
        rules: tuple[Filter, Diversity | None],
        file: Path,
        reranker: Reranker | None,
    ) -> _Side:
        metric = targets.manifest.setting.metric
        pairs = read_pairs(lake, settings.query.name, anchor)
        check_metric(pairs, metric)
        keep, diversity = rules
        kind = targets.manifest.setting.of_kind
        deepest = kind.most_shown(targets.manifest.setting)
        search = AllowedSearch(targets.index, keep, targets.vectors, pairs, diversity, kind.exact, deepest)
        share = settings.retrieval.exploration if final else 0.0
        exploration = Exploration(share, settings.seed, anchor) if share else None
        rule = RankingRule(query.top_k, _depth(settings, query.top_k, pairs, keep), exploration)
        vectors = read_vectors(lake, query.entity_embeddings, anchor, file)
        return cls(search, rule, vectors, targets, anchor, final, reranker)

    def entities_asked(self, settings: Settings, lake: Lake, query: PredictiveQuery) -> NDArray[np.int64]:
        """Node ids of the entities that get lists: those that are there, of those asked about."""
        there = np.flatnonzero(valid_nodes(lake, query.entity, known_by(query, self.anchor)))
        wanted = query_population(lake, query, settings.query.name) if self.final else None
        return there if wanted is None else np.intersect1d(there, wanted)

    def rank(self, rows: NDArray[np.int64]) -> Ranked:
        """Lists of entities."""
        # A reranker asks for far more than a list, and not of all of a partition at once.
        step = RERANKED if self.reranker is not None else max(1, len(rows))
        starts = range(0, max(1, len(rows)), step)
        parts = [self._rank(rows[start : start + step]) for start in starts]
        if len(parts) == 1:
            return parts[0]
        names = [field.name for field in fields(Ranked)]
        return Ranked(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def _rank(self, rows: NDArray[np.int64]) -> Ranked:
        return rank_batch(self.search, self.rule, self.entities[rows], rows, self.reranker, self.anchor)

    def measure(self, entities: NDArray[np.int64], count: int, seed: int) -> Recall:
        """Lists of some entities, before exploration, against what they would be if every target were scored."""
        rows = np.sort(np.random.default_rng([seed, 1]).permutation(entities)[:count])
        if not len(rows):
            return Recall(self.rule.k, 0, 1.0, 0.0, 1.0)
        queries = self.entities[rows]
        found = self.search.search(queries, rows, self.rule.k, self.rule.depth)
        every = AllowedSearch(
            self.targets.every, self.search.keep, self.targets.vectors, self.search.pairs, self.search.diversity
        )
        return measure_recall(found, every.search(queries, rows, self.rule.k, self.rule.depth))


def _depth(settings: Settings, k: int, pairs: PairScores, keep: Filter) -> int:
    """Targets that an index is asked for at first: k, and those that most entities don't take from it."""
    if settings.retrieval.depth != "auto":
        return settings.retrieval.depth
    other = pairs.counts + (keep.denied.counts if keep.denied is not None else 0)
    share = keep.mask.mean()
    return int((k + (np.quantile(other, 0.9) if len(other) else 0)) / max(share, 0.05)) + (0 if share == 1 else k)


def _fingerprint(
    settings: Settings,
    lake: Lake,
    query: PredictiveQuery,
    anchors: Sequence[int],
    final: bool,
    beside: Sequence[object],
) -> str:
    names = [query.entity.name, query.target.name]
    tables = [f"embeddings_{name}" for name in (query.entity_embeddings, query.target.name)]
    tables += [f"{kind}_{name}" for kind in ("nodes", "ids") for name in names]
    tables.append(f"pairs_{settings.query.name}")
    if final:
        tables += settings.retrieval.filters.tables
        tables += [f"population_{settings.query.name}"] if query.where is not None else []
    manifests = [current_manifest(lake, settings.query.name, anchor) for anchor in anchors]
    inputs = {
        "program": gnnscale.__version__,
        "query": query.text,
        "seed": settings.seed,
        "anchors": list(anchors),
        "ends": [query.entity.end_time, query.target.end_time],
        "retrieval": settings.retrieval.model_dump(mode="json"),
        "indexes": [manifest.to_dict()["files"] for manifest in manifests],
        "search_widths": [manifest.setting.search_width for manifest in manifests],
        "versions": {name: lake.version(name) for name in dict.fromkeys(tables)},
        "beside": list(beside),
    }
    return fingerprint(inputs)
