"""A trained model as MLflow keeps it: load it anywhere that reaches the lake, and ask it for answers."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext
from numpy.typing import NDArray

from gnnscale.batches import EntityExamples
from gnnscale.config import Settings, bind_query, build_settings, plan_query_anchors
from gnnscale.inference.population import read_keys
from gnnscale.inference.predict_entities import answer_table
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery
from gnnscale.schema import DataError, LakeError
from gnnscale.store import GraphStore, view_for
from gnnscale.training import load_node_model, model_path


class LakeModel(PythonModel, ABC):
    """A model whose graph is in a lake; the subclasses answer.

    Input: a column ``entity`` of keys.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Read settings and weights from the model's own files, and the graph and the keys from its lake."""
        self.settings = build_settings(context.model_config["settings"])
        self.lake = Lake(self.settings.lake.uri, self.settings.lake.storage_options)
        store = GraphStore.open(self.lake, self.settings.lake.cache)
        self.query: PredictiveQuery = bind_query(self.settings, store.manifest)
        self.entity_keys = read_keys(self.lake, self.query.entity.name)
        self._known = pd.Index(self.entity_keys.to_pandas())
        self.store = view_for(store, self.query.pseudo_timed_tables)
        self.load_weights(Path(context.artifacts["weights"]).read_bytes())

    @abstractmethod
    def load_weights(self, weights: bytes) -> None:
        """Build the network from its file."""

    @property
    def latest(self) -> int:
        """Anchor of the answers, epoch seconds."""
        return plan_query_anchors(self.settings, self.query, self.store.manifest.time_ranges).latest

    def nodes_of(self, keys: pd.Series) -> NDArray[np.int64]:
        """Node ids of entities.

        Raises:
            DataError: a key is not one of the entity table's.
        """
        nodes: NDArray[np.int64] = self._known.get_indexer(pd.Index(keys)).astype(np.int64)
        if (nodes < 0).any():
            unknown = keys[nodes < 0].iloc[0]
            raise DataError(f"'{unknown}' is not a {self.query.entity.primary_key} of '{self.query.entity.name}'")
        return nodes


class AnswerModel(LakeModel):
    """Values or classes for entities at the latest anchor; output as ``predictions_<query>``."""

    def load_weights(self, weights: bytes) -> None:
        """Build the network from its file."""
        self.predictor = load_node_model(self.settings, self.lake, self.store, content=weights)

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Answers for the entities asked for.

        Raises:
            DataError: a key is not one of the entity table's.
        """
        origin = self.store.manifest.origin
        examples = EntityExamples.unlabelled(self.nodes_of(model_input["entity"]), self.latest - origin)
        scores = self.predictor.predict(examples)
        return answer_table(self.predictor, examples, scores, self.entity_keys, origin, self.query.top).to_pandas()


def log_model(run_id: str, settings: Settings, lake: Lake, model: LakeModel) -> str:
    """Keep the model with an MLflow run, and register it where ``tracking.register_as`` names it.

    Args:
        run_id: of the run.
        settings: as the model was trained with.
        lake: holds its file.
        model: a fresh one of its kind.

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
            python_model=model,
            artifacts={"weights": str(path)},
            model_config={"settings": resolved},
            pip_requirements=[f"gnnscale=={version('gnnscale')}"],
            registered_model_name=settings.tracking.register_as,
        )
    return str(info.model_uri)
