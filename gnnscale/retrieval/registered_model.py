"""The trained ranking model as MLflow keeps it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

from gnnscale.inference import read_keys
from gnnscale.inference.registered_model import LakeModel
from gnnscale.loading import Examples
from gnnscale.retrieval.answers import ranked_table
from gnnscale.retrieval.embeddings import PairScores
from gnnscale.retrieval.exact import rank_exact
from gnnscale.training import load_model


class RankingModel(LakeModel):
    """Ranks targets for entities at the latest anchor, exactly.

    Output: entity, target, rank, score, anchor_time.
    """

    def load_weights(self, weights: bytes) -> None:
        """Build the network from its file."""
        self.model, self.builder = load_model(self.settings, self.lake, self.store, content=weights)

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Rankings of the entities asked for.

        Raises:
            DataError: a key is not one of the entity table's.
        """
        query, nodes = self.query, self.nodes_of(model_input["entity"])
        anchor = self.latest - self.store.manifest.origin
        with torch.no_grad():
            targets = torch.cat([self.model.encode_targets(part) for part in self.builder.all_targets(anchor)]).numpy()
            batch = self.builder.build(Examples.unlabelled(nodes, anchor))
            scores = self.model(batch)
        counts = np.bincount(batch.example.numpy(), minlength=len(nodes))
        indptr = np.concatenate([[0], np.cumsum(counts)])
        pairs = PairScores(indptr, batch.candidate_node.numpy(), scores.local.numpy())
        found = rank_exact(scores.entity.numpy(), targets, pairs, np.arange(len(nodes)), query.places)
        entity_keys = read_keys(self.lake, query.entity.name).take(nodes)
        return ranked_table(found, entity_keys, read_keys(self.lake, query.target.name), self.latest).to_pandas()
