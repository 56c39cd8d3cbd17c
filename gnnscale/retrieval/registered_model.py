"""The trained ranking model as MLflow keeps it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from gnnscale.inference import read_keys
from gnnscale.inference.encode import TARGETS
from gnnscale.inference.registered_model import LakeModel
from gnnscale.retrieval.answers import ranked_table
from gnnscale.retrieval.embeddings import PairScores
from gnnscale.retrieval.exact import rank_exact
from gnnscale.training import load_link_model


class RankingModel(LakeModel):
    """Ranks targets for entities at the latest anchor, exactly.

    Output: entity, target, rank, score, anchor_time.
    """

    def load_weights(self, weights: bytes) -> None:
        """Build the network from its file."""
        self.model = load_link_model(self.settings, self.lake, self.store, content=weights)

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Rankings of the entities asked for.

        Raises:
            DataError: a key is not one of the entity table's.
        """
        query, nodes = self.query, self.nodes_of(model_input["entity"])
        anchor = self.latest - self.store.manifest.origin
        count = self.store.node_count(query.target.name)
        parts = [np.arange(start, min(count, start + TARGETS)) for start in range(0, count, TARGETS)]
        targets = np.concatenate([self.model.encode_targets(self.model.target_batch(p, anchor)) for p in parts])
        scores = self.model.score_entities(self.model.entity_batch(nodes, anchor))
        pairs = PairScores(np.concatenate([[0], np.cumsum(scores.counts)]), scores.targets, scores.scores)
        found = rank_exact(scores.vectors, targets, pairs, np.arange(len(nodes)), query.places)
        entity_keys = read_keys(self.lake, query.entity.name).take(nodes)
        return ranked_table(found, entity_keys, read_keys(self.lake, query.target.name), self.latest).to_pandas()
