"""The trained model as MLflow keeps it: load it anywhere that reaches the lake, and ask it for rankings."""

from __future__ import annotations

import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import torch
from mlflow.pyfunc import PythonModel, PythonModelContext

from gnnscale.config import Settings, bind_query, build_settings, plan_query_anchors
from gnnscale.inference import read_keys
from gnnscale.lake import Lake
from gnnscale.loading import Examples
from gnnscale.retrieval.embeddings import PairScores
from gnnscale.retrieval.exact import rank_exact
from gnnscale.retrieval.retrieve import ranked_table
from gnnscale.schema import DataError, LakeError
from gnnscale.store import GraphStore, view_for
from gnnscale.training import load_model, model_path


class RankingModel(PythonModel):
    """Ranks targets for entities at the latest anchor, exactly.

    Input: a column ``entity`` of keys. Output: entity, target, rank, score, anchor_time.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Read settings and weights from the model's own files, and the graph from its lake."""
        self.settings = build_settings(context.model_config["settings"])
        self.lake = Lake(self.settings.lake.uri, self.settings.lake.storage_options)
        store = GraphStore.open(self.lake, self.settings.lake.cache)
        self.store = view_for(store, bind_query(self.settings, store.manifest).arriving_facts)
        weights = Path(context.artifacts["weights"]).read_bytes()
        self.model, self.builder = load_model(self.settings, self.lake, self.store, content=weights)

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Rankings of the entities asked for.

        Raises:
            DataError: a key is not one of the entity table's.
        """
        query = self.builder.query
        keys = read_keys(self.lake, query.entity.name).to_pandas()
        nodes = pd.Index(keys).get_indexer(pd.Index(model_input["entity"]))
        if (nodes < 0).any():
            unknown = model_input["entity"][nodes < 0].iloc[0]
            raise DataError(f"'{unknown}' is not a {query.entity.primary_key} of '{query.entity.name}'")
        plan = plan_query_anchors(self.settings, query, self.store.manifest.time_ranges)
        anchor = plan.latest - self.store.manifest.origin
        with torch.no_grad():
            targets = torch.cat([self.model.encode_targets(part) for part in self.builder.all_targets(anchor)]).numpy()
            batch = self.builder.build(Examples.unlabelled(nodes.astype(np.int64), anchor))
            scores = self.model(batch)
        counts = np.bincount(batch.example.numpy(), minlength=len(nodes))
        indptr = np.concatenate([[0], np.cumsum(counts)])
        pairs = PairScores(indptr, batch.candidate_node.numpy(), scores.local.numpy())
        found = rank_exact(scores.entity.numpy(), targets, pairs, np.arange(len(nodes)), query.places)
        entity_keys = read_keys(self.lake, query.entity.name).take(nodes)
        return ranked_table(found, entity_keys, read_keys(self.lake, query.target.name), plan.latest).to_pandas()


def log_ranking_model(run_id: str, settings: Settings, lake: Lake) -> str:
    """Keep the model with an MLflow run, and register it where ``tracking.register_as`` names it.

    Returns:
        The model's URI.

    Raises:
        LakeError: the query was not trained.
    """
    weights = lake.read_bytes(model_path(settings.query.name))
    if weights is None:
        raise LakeError(f"lake {lake.uri} holds no model of query '{settings.query.name}'")
    resolved = settings.model_dump(mode="json")
    # Credentials don't belong into a model; where it is loaded, the environment has them.
    resolved["lake"] = {"uri": lake.uri}
    del resolved["spark"]
    with tempfile.TemporaryDirectory() as folder, mlflow.start_run(run_id=run_id):
        path = Path(folder) / "model.pt"
        path.write_bytes(weights)
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=RankingModel(),
            artifacts={"weights": str(path)},
            model_config={"settings": resolved},
            pip_requirements=[f"gnnscale=={version('gnnscale')}"],
            registered_model_name=settings.tracking.register_as,
        )
    return str(info.model_uri)
