"""The trained ranking model as MLflow keeps it."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gnnscale.inference import LakeModel, read_keys
from gnnscale.retrieval.answers import ranked_table
from gnnscale.retrieval.embeddings import PairScores, check_metric
from gnnscale.retrieval.filters.query_filters import known_by, read_diversity, settings_filter, valid_nodes
from gnnscale.retrieval.index.metric import Metric
from gnnscale.retrieval.index.neighbors import Neighbors
from gnnscale.retrieval.ranking.allowed_search import AllowedSearch
from gnnscale.retrieval.ranking.calibration import Calibration
from gnnscale.retrieval.ranking.tower import TargetVectors
from gnnscale.retrieval.targets import EveryTarget
from gnnscale.training import load_link_model


class RankingModel(LakeModel):
    """Ranks targets for entities: every target is scored, without an index.

    Filters and the diversity cap are those of the predictions; nothing is explored. Entities are embedded from sampled
    neighborhoods, whatever ``embedding.method`` is. Output: entity, target, rank, score, anchor_time.
    """

    def load_weights(self, weights: bytes) -> None:
        """Build the network from its file, and read who may be given what, at the same time as the graph."""
        self.model = load_link_model(self.settings, self.lake, self.store, content=weights)
        self.target_keys = read_keys(self.lake, self.query.target.name)
        new_only = bool((self.blend or {}).get("new_only"))
        self._keep = settings_filter(self.settings, self.lake, self.query, self.anchor, self.store, new_only)
        self._diversity = read_diversity(self.settings, self.lake, self.query)

    @property
    def gives_several(self) -> bool:
        """A ranking has several rows."""
        return True

    def answer(self, nodes: NDArray[np.int64], k: int | None = None) -> pd.DataFrame:
        """Rankings of entities."""
        k, size = k or self.query.top_k, self.settings.embedding.batch_size
        if not len(nodes):
            none = Neighbors(np.zeros((0, k), np.int64), np.zeros((0, k), np.float32))
            return self._table(none, nodes)
        entities, inverse = np.unique(nodes, return_inverse=True)
        batches = (entities[start : start + size] for start in range(0, len(entities), size))
        ranked = [self._rank(batch, k) for batch in batches]
        found = Neighbors(*(np.concatenate(parts)[inverse] for parts in zip(*ranked, strict=True)))
        return self._table(found, nodes)

    def entities(self) -> NDArray[np.int64]:
        """Node ids of all entities that are there at the anchor, ascending."""
        return np.flatnonzero(valid_nodes(self.lake, self.query.entity, known_by(self.query, self.anchor)))

    def _rank(self, entities: NDArray[np.int64], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Targets and scores ``[entities, k]`` of some entities, ascending."""
        query = self.query
        scores = self.model.score_entities(self.model.entity_batch(entities, self._anchor))
        counts = np.zeros(self.store.node_count(query.entity.name), np.int64)
        counts[entities] = scores.counts
        pairs = PairScores(np.concatenate([[0], np.cumsum(counts)]), scores.targets, scores.scores)
        check_metric(pairs, Metric(self._targets.metric))
        search = AllowedSearch(EveryTarget(self._targets), self._keep, self._targets, pairs, self._diversity)
        found = self.ranked(search, scores.vectors, entities, k)
        return found.targets, found.scores

    def ranked(
        self, search: AllowedSearch, vectors: NDArray[np.float32], entities: NDArray[np.int64], k: int
    ) -> Neighbors:
        """The lists of some entities.

        Args:
            search: of all targets.
            vectors: of the entities, float32 ``[entities, channels]``.
            entities: node ids, int64.
            k: targets wanted.
        """
        return search.search(vectors, entities, k, k)

    def _table(self, found: Neighbors, nodes: NDArray[np.int64]) -> pd.DataFrame:
        keys = self.entity_keys.take(nodes)
        told = None if self.query.pseudo_timed_tables else self.anchor
        curve = (self.blend or {}).get("calibration")
        if curve is None:
            return ranked_table(found, keys, self.target_keys, told).to_pandas()
        calibration = Calibration.from_dict(curve)
        found = Neighbors(calibration.kept(found.targets, found.scores), found.scores)
        table = ranked_table(found, keys, self.target_keys, told).to_pandas()
        return table.assign(probability=calibration.probabilities(found.scores)[found.targets >= 0])

    @property
    def _anchor(self) -> int:
        """Seconds after the graph's origin."""
        return self.anchor - self.store.manifest.origin

    @cached_property
    def _targets(self) -> TargetVectors:
        count = self.store.node_count(self.query.target.name)
        size = self.model.targets_at_once
        parts = [np.arange(start, min(count, start + size)) for start in range(0, count, size)]
        found = [self.model.encode_targets(self.model.target_batch(part, self._anchor)) for part in parts]
        return TargetVectors(np.concatenate(found), Metric(self.settings.retrieval.index.metric).value)
