"""A trained model as MLflow keeps it: load it anywhere that reaches the lake, and ask it for answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, Final, Self

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.models import ModelSignature
from mlflow.pyfunc import PythonModel, PythonModelContext
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from numpy.typing import NDArray

from gnnscale.arrays import key_array, scratch_folder, temporary_files_in
from gnnscale.batches import EntityExamples, asked_examples
from gnnscale.config import LakeSettings, Settings, bind_query, build_settings, kept_content, plan_query_anchors
from gnnscale.inference.population import read_keys
from gnnscale.inference.predict_entities import answer_table, judged_classes, score_in_batches
from gnnscale.lake import Lake, from_portable, read_record_text, to_portable
from gnnscale.query import PredictiveQuery
from gnnscale.schema import MANIFEST_NAME, DataError, LakeError, mask_secrets, mask_text
from gnnscale.store import GraphStore, view_for
from gnnscale.training import blend_path, load_node_model, model_path

EXAMPLES: Final = 5
"""Rows of the predictions that a model's example of input is taken from."""


class LakeModel(PythonModel, ABC):
    """A model whose graph is in a lake; the subclasses answer.

    Input: a column ``entity`` of keys.

    Attributes:
        anchor: time of the answers, epoch seconds.
        latest: anchor of the lake's predictions, epoch seconds.
        blend: what the answers are made of beside the network; None for nothing.
        weights: content of the model's file.
        at_own_times: whether each entity is asked about at its own time instead, those without one at ``anchor``.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Read settings and weights from the model's own files, and the graph and the keys from its lake.

        Raises:
            LakeError: the model's files are in no lake, and ``model_config={"lake": URI}`` does not name one.
        """
        weights, config = Path(context.artifacts["weights"]), context.model_config
        uri = config.get("lake") or find_lake(weights)
        content = {**kept_content(from_portable(Lake(uri), config["settings"])), "lake": {"uri": uri}}
        self.open(build_settings(content), weights.read_bytes(), blend=config.get("blend"))

    def open(
        self, settings: Settings, weights: bytes, anchor: int | None = None, blend: Mapping[str, Any] | None = None
    ) -> Self:
        """Read the graph and the keys from the lake, and build the network.

        Args:
            settings: as the model was trained with.
            weights: content of its file.
            anchor: of the answers, epoch seconds; default: the latest, or each entity's own where the query asks so.
            blend: what baselines the answers are made of beside the network, as the model keeps it.

        Raises:
            LakeError: the model does not fit the graph any more.
        """
        self.settings, self.blend, self.weights = settings, blend, weights
        self.lake = Lake(settings.lake.uri, settings.lake.storage_options)
        store = GraphStore.open(self.lake, settings.lake.cache)
        self.query: PredictiveQuery = bind_query(settings, store.manifest)
        self.latest = plan_query_anchors(settings, self.query, store.manifest.time_ranges).latest
        self.anchor = self.latest if anchor is None else anchor
        # What is known at a time is asked for by name alone.
        self.at_own_times = self.query.asks_at_own_time and anchor is None
        self.entity_keys = read_keys(self.lake, self.query.entity.name)
        self._known = pd.Index(self.entity_keys.to_pandas())
        self.store = view_for(store, self.query, self.lake)
        self.load_weights(weights)
        return self

    @abstractmethod
    def load_weights(self, weights: bytes) -> None:
        """Build the network from its file."""

    @property
    @abstractmethod
    def gives_several(self) -> bool:
        """Whether an entity is given several answers, of which ``k`` are wanted."""

    @abstractmethod
    def answer(self, nodes: NDArray[np.int64], k: int | None = None) -> pd.DataFrame:
        """Answers for entities, columns as in ``predictions_<query>``.

        Args:
            nodes: node ids, int64 ``[entities]``.
            k: most answers an entity; default: as many as the query asks for.
        """

    @abstractmethod
    def entities(self) -> NDArray[np.int64]:
        """Node ids of all entities that are there at the anchor, ascending."""

    def judged_answers(self, examples: int) -> int | None:
        """Answers of each of some examples that it is judged by; None for as many as the query asks for."""
        return None

    def answers_at(self, nodes: NDArray[np.int64], anchors: NDArray[np.int64]) -> pa.Table:
        """Answers of entities at times, rows as of ``holdout_<query>``.

        Args:
            nodes: node ids, int64 ``[examples]``.
            anchors: epoch seconds of each, int64 ``[examples]``; none count where each entity is asked at its own time.

        Raises:
            LakeError: the model does not fit the graph any more.
        """
        if self.query.asks_at_own_time:
            return pa.Table.from_pandas(self.answer(nodes, self.judged_answers(len(nodes))), preserve_index=False)
        found = []
        for anchor in np.unique(anchors):
            # What a model has read of its graph is of one anchor.
            model = type(self)().open(self.settings, self.weights, int(anchor), self.blend)
            rows = model.answer(nodes[anchors == anchor], self.judged_answers(len(nodes)))
            found.append(pa.Table.from_pandas(rows, preserve_index=False))
        return pa.concat_tables(found)

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Answers for the entities asked for.

        Raises:
            DataError: a key is not one of the entity table's.
        """
        return self.answer(self.nodes_of(model_input["entity"]))

    def nodes_of(self, keys: pd.Series) -> NDArray[np.int64]:
        """Node ids of entities.

        Raises:
            DataError: a key is not one of the entity table's.
        """
        same = key_array(keys, self.entity_keys.type)
        nodes: NDArray[np.int64] = self._known.get_indexer(pd.Index(same.to_pandas(integer_object_nulls=True)))
        # What no key of the table can be is null, and no key is.
        nodes = np.where(same.is_valid().to_numpy(zero_copy_only=False), nodes, -1)
        if (nodes < 0).any():
            unknown = keys[nodes < 0].drop_duplicates()
            shown = ", ".join(_shown(key) for key in unknown[:3]) + (", ..." if len(unknown) > 3 else "")
            relation = "is no" if len(unknown) == 1 else "are none of the keys"
            name = f"{self.query.entity.primary_key} of '{self.query.entity.name}'"
            raise DataError(f"{shown} {relation} {name}{self._hint(unknown.iloc[0])}")
        return nodes

    def _hint(self, key: Any) -> str:
        """What to say of a key that is one as text, or as a number."""
        if not isinstance(key, str):
            return f"; keys are text, and '{key}' is one" if str(key) in self._known else ""
        number = int(key) if key.strip().lstrip("-").isdecimal() else None
        return f"; keys are numbers, and {number} is one" if number is not None and number in self._known else ""


def _shown(key: Any) -> str:
    return f"'{key}'" if isinstance(key, str) else str(key)


class AnswerModel(LakeModel):
    """Values or classes for entities; output as ``predictions_<query>``."""

    def load_weights(self, weights: bytes) -> None:
        """Build the network from its file."""
        self.predictor = load_node_model(self.settings, self.lake, self.store, content=weights)

    @property
    def gives_several(self) -> bool:
        """Whether an entity is given classes."""
        return bool(self.predictor.knowledge.shape.classes)

    def judged_answers(self, examples: int) -> int | None:
        """All classes, where answers are classes, as far as memory allows."""
        return judged_classes(examples, self.query.top)

    def answer(self, nodes: NDArray[np.int64], k: int | None = None) -> pd.DataFrame:
        """Answers for entities."""
        origin = self.store.manifest.origin
        examples = EntityExamples.unlabelled(nodes, self.anchor - origin)
        if self.at_own_times:
            examples = asked_examples(self.store, self.query, nodes, self.anchor - origin, there=False)
        scores, top = self.scores(examples), k or self.query.top
        return answer_table(self.predictor, examples, scores, self.entity_keys, origin, top).to_pandas()

    def scores(self, examples: EntityExamples) -> NDArray[np.float32]:
        """Probabilities or values, float32 ``[examples, scores]``."""
        return score_in_batches(self.predictor, examples, self.settings.embedding.batch_size)

    def entities(self) -> NDArray[np.int64]:
        """Node ids of all entities that are there at the anchor, ascending."""
        features, nodes = self.store.features(self.query.entity.name), np.arange(len(self.entity_keys))
        if self.at_own_times:
            return asked_examples(self.store, self.query, nodes, self.anchor - self.store.manifest.origin).entities
        return nodes[features.is_valid_at(nodes, self.anchor - self.store.manifest.origin)]


@dataclass(frozen=True)
class KeptModel:
    """What MLflow keeps of a model, for :meth:`LakeModel.open`; nothing of it is run.

    Args:
        settings: as it was trained with, on the lake that was asked for.
        weights: content of its file.
        blend: what its answers are made of beside the network; None for nothing.
    """

    settings: Settings
    weights: bytes
    blend: dict[str, Any] | None

    @classmethod
    def read(cls, uri: str, lake: LakeSettings) -> Self:
        """Read a model that :func:`log_model` has kept.

        Args:
            uri: such as ``models:/main.shop.predictions@champion``.
            lake: that it is to answer on.

        Raises:
            LakeError: it is no model of gnnscale's.
        """
        folder = Path(mlflow.artifacts.download_artifacts(uri))
        told = mlflow.models.Model.load(str(folder)).flavors.get("python_function", {})
        config = told.get("config") or {}
        if "settings" not in config or "weights" not in told.get("artifacts", {}):
            raise LakeError(f"{uri} is no model of gnnscale's")
        home = Lake(lake.uri, lake.storage_options)
        content = kept_content(from_portable(home, config["settings"]))
        settings = build_settings({**content, "lake": lake.model_dump(mode="json")})
        return cls(settings, (folder / told["artifacts"]["weights"]["path"]).read_bytes(), config.get("blend"))


def find_lake(file: Path) -> str:
    """The lake that a file of a model is in.

    Raises:
        LakeError: it is in none.
    """
    for folder in file.absolute().parents:
        if Lake(folder).has_file(f"_records/{MANIFEST_NAME}.json"):
            return str(folder)
    raise LakeError(
        f'{file} is in no lake; name it as in mlflow.pyfunc.load_model(uri, model_config={{"lake": "lake"}})'
    )


COLUMN_TYPES: Final = (
    (pa.types.is_boolean, DataType.boolean),
    # Of keys, any integer may be given.
    (pa.types.is_integer, DataType.long),
    (pa.types.is_float32, DataType.float),
    (pa.types.is_floating, DataType.double),
    (pa.types.is_timestamp, DataType.datetime),
)
"""Arrow's types of columns, and what MLflow calls them; whatever else there is are texts."""


@dataclass(frozen=True)
class LoggedModel:
    """A model that MLflow has.

    Args:
        uri: of the model.
        version: of the registered model; None where it was not registered.
    """

    uri: str
    version: str | None


def model_signature(lake: Lake, query: str) -> tuple[ModelSignature, pd.DataFrame]:
    """What a model takes and gives, by the table of its predictions, and a few entities to ask about.

    Args:
        lake: holds ``predictions_<query>``.
        query: its name.

    Raises:
        LakeError: there are no predictions.
    """
    predictions = lake.open(f"predictions_{query}").to_pyarrow_dataset().schema
    first = next(lake.batches(f"predictions_{query}", predictions.names, batch_rows=EXAMPLES), None)
    rows = pa.Table.from_batches([] if first is None else [first], predictions)
    columns: list[ColSpec | TensorSpec] = [ColSpec(_column_type(field.type), field.name) for field in rows.schema]
    asked = [column for column in columns if column.name == "entity"]
    example = rows.select(["entity"]).to_pandas().drop_duplicates(ignore_index=True)
    return ModelSignature(inputs=Schema(asked), outputs=Schema(columns)), example


def _column_type(kind: pa.DataType) -> DataType:
    return next((theirs for fits, theirs in COLUMN_TYPES if fits(kind)), DataType.string)


def log_model(run_id: str, settings: Settings, lake: Lake, model: LakeModel) -> LoggedModel:
    """Keep the model with an MLflow run, and register it where ``tracking.register_as`` names it.

    Args:
        run_id: of the run.
        settings: as the model was trained with.
        lake: holds its file.
        model: a fresh one of its kind.

    Raises:
        LakeError: the query was not trained, or has no predictions.
    """
    weights = lake.read_bytes(model_path(settings.query.name))
    if weights is None:
        raise LakeError(f"lake {lake.uri} holds no model of query '{settings.query.name}'")
    # Credentials don't belong into a model; where it is loaded, the environment has them.
    resolved = mask_secrets(
        settings.model_dump(mode="json", exclude={"lake", "warehouse", "spark", "publish", "tracking"})
    )
    # A model that is kept in its lake moves with it.
    inside = lake.local and settings.tracking.uri is None
    blend = lake.read_bytes(blend_path(settings.query.name))
    config = {
        "settings": to_portable(lake, resolved),
        "lake": "" if inside else mask_text(lake.uri),
        "blend": None if blend is None else read_record_text(blend),
    }
    signature, example = model_signature(lake, settings.query.name)
    with (
        scratch_folder(None, "model", lake.uri) as folder,
        temporary_files_in(folder),
        mlflow.start_run(run_id=run_id),
    ):
        path = folder / "model.pt"
        path.write_bytes(weights)
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=model,
            artifacts={"weights": str(path)},
            model_config=config,
            signature=signature,
            input_example=example,
            pip_requirements=[f"gnnscale=={installed_version('gnnscale')}"],
            registered_model_name=settings.tracking.register_as,
        )
    version = info.registered_model_version
    return LoggedModel(str(info.model_uri), None if version is None else str(version))
