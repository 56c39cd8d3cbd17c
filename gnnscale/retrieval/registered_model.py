"""The trained ranking model as MLflow keeps it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from gnnscale.inference import read_keys
from gnnscale.inference.encode import TARGETS
from gnnscale.inference.registered_model import LakeModel
from gnnscale.retrieval.answers import ranked_table
from gnnscale.retrieval.embeddings import PairScores
from gnnscale.retrieval.filter_rules import read_diversity, settings_filter
from gnnscale.retrieval.index import Metric
from gnnscale.retrieval.search import AllowedSearch
from gnnscale.retrieval.targets import EveryTarget
from gnnscale.retrieval.tower import TargetVectors
from gnnscale.training import load_link_model


class RankingModel(LakeModel):
    """Ranks targets for entities at the latest anchor: every target is scored, without an index.

    Filters and the diversity cap are those of the predictions; nothing is explored. Entities are embedded from sampled
    neighborhoods, whatever ``embedding.method`` is. Output: entity, target, rank, score, anchor_time.
    """

    def load_weights(self, weights: bytes) -> None:
        """Build the network from its file."""
        self.model = load_link_model(self.settings, self.lake, self.store, content=weights)

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Rankings of the entities asked for.

        Raises:
            DataError: a key is not one of the entity table's.
            LakeError, ConfigError: see :func:`gnnscale.retrieval.filter_rules.settings_filter`.
        """
        query, nodes = self.query, self.nodes_of(model_input["entity"])
        asked, places = np.unique(nodes, return_inverse=True)
        scores = self.model.score_entities(self.model.entity_batch(asked, self._anchor))
        counts = np.zeros(self.store.node_count(query.entity.name), np.int64)
        counts[asked] = scores.counts
        pairs = PairScores(np.concatenate([[0], np.cumsum(counts)]), scores.targets, scores.scores)
        keep, diversity = self._rules
        search = AllowedSearch(EveryTarget(self._targets), keep, self._targets, pairs, diversity)
        found = search.search(scores.vectors[places], nodes, query.places, query.places)
        keys = read_keys(self.lake, query.entity.name).take(nodes)
        return ranked_table(found, keys, read_keys(self.lake, query.target.name), self.latest).to_pandas()

    @property
    def _anchor(self) -> int:
        """Seconds after the graph's origin."""
        return self.latest - self.store.manifest.origin

    @cached_property
    def _targets(self) -> TargetVectors:
        count = self.store.node_count(self.query.target.name)
        parts = [np.arange(start, min(count, start + TARGETS)) for start in range(0, count, TARGETS)]
        found = [self.model.encode_targets(self.model.target_batch(part, self._anchor)) for part in parts]
        return TargetVectors(np.concatenate(found), Metric(self.settings.retrieval.index.metric).value)

    @cached_property
    def _rules(self) -> Any:
        found = settings_filter(self.settings, self.lake, self.query, self.latest, self.store)
        return found, read_diversity(self.settings, self.lake, self.query)
