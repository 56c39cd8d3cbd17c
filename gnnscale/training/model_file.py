"""A trained model in the lake: weights, and all that is needed to build the network again."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnscale.batches import BatchBuilder, EntityBatchBuilder, EntityExamples
from gnnscale.config import Settings, bind_query
from gnnscale.lake import Lake
from gnnscale.nn import (
    BlockModel,
    BlockTowers,
    EntityObjective,
    ItemEncoder,
    TwoBranchModel,
    build_entity_batches,
    build_entity_model,
    build_model,
)
from gnnscale.query import PredictiveQuery
from gnnscale.schema import LakeError
from gnnscale.store import GraphStore
from gnnscale.training.block_predictor import EntityBlocks, build_block_predictor
from gnnscale.training.block_task_builder import build_towers, memory_source
from gnnscale.training.distributed_context import DistributedContext
from gnnscale.training.entity_task import EntityKnowledge
from gnnscale.training.entity_validation import score_all
from gnnscale.training.link_predictor import LinkPredictor, TowersPredictor, TwoBranchPredictor
from gnnscale.training.train_result import TrainResult


def model_path(query: str) -> str:
    """Where a query's model is, under the lake's root."""
    return f"_models/{query}/model.pt"


def save_model(lake: Lake, query: str, outcome: TrainResult) -> str:
    """Write the best weights, and what the training labels told beside them.

    Returns:
        The path under the lake's root.
    """
    buffer = io.BytesIO()
    content = {"weights": outcome.weights, "best": outcome.best, "description": outcome.description}
    torch.save(content, buffer)
    lake.write_bytes(model_path(query), buffer.getvalue())
    return model_path(query)


def load_link_model(
    settings: Settings,
    lake: Lake,
    store: GraphStore,
    device: torch.device | None = None,
    content: bytes | None = None,
) -> LinkPredictor:
    """The trained network of a link task.

    Args:
        settings: as it was trained with.
        lake, store: of the graph.
        device: to put it on; default: the CPU.
        content: of a model file; default: the query's in the lake.

    Raises:
        LakeError: the query was not trained in this lake, or the graph or the configuration has changed since.
    """
    device = device or torch.device("cpu")
    if settings.model.network == "blocks":
        saved = _read(settings, lake, content)
        query = bind_query(settings, store.manifest)
        source = memory_source(settings, store, query)
        towers = build_towers(settings, store, query, source)
        _fill(towers, saved, settings)
        return TowersPredictor(towers.to(device).eval(), source, query, store.features(query.target.name), device)
    model, builder = load_two_branch(settings, lake, store, device, content)
    return TwoBranchPredictor(model, builder, device)


def load_two_branch(
    settings: Settings,
    lake: Lake,
    store: GraphStore,
    device: torch.device | None = None,
    content: bytes | None = None,
) -> tuple[TwoBranchModel, BatchBuilder]:
    """The two-branch network that :func:`load_link_model` wraps, in evaluation mode, and the builder of its batches."""
    saved = _read(settings, lake, content)
    query = bind_query(settings, store.manifest)
    builder = BatchBuilder(store, query, settings.sampling, settings.model.group_columns, settings.seed)
    model = build_model(settings, query, store.manifest, builder.context_tables)
    _fill(model, saved, settings)
    return model.to(device or torch.device("cpu")).eval(), builder


@dataclass(frozen=True)
class EntityPredictor:
    """A trained network of an entity task, with what turns entities into answers.

    Args:
        model: in evaluation mode.
        builder: of its batches.
        objective: which reads its outputs.
        knowledge: classes, statistics of the target, and which inputs there are.
        device: of the model.
    """

    model: nn.Module
    builder: EntityBatchBuilder | EntityBlocks
    objective: EntityObjective
    knowledge: EntityKnowledge
    device: torch.device

    def predict(self, examples: EntityExamples) -> NDArray[np.float32]:
        """Probabilities or values, float32 ``[examples, scores]``; labels are not looked at."""
        return score_all(self.model, self.builder, self.objective, examples, DistributedContext(device=self.device))


def load_entity_model(
    settings: Settings,
    lake: Lake,
    store: GraphStore,
    device: torch.device | None = None,
    content: bytes | None = None,
    query: PredictiveQuery | None = None,
) -> EntityPredictor:
    """The trained network of an entity task.

    Args:
        settings: as it was trained with.
        lake, store: of the graph.
        device: to put it on; default: the CPU.
        content: of a model file; default: the query's in the lake.
        query: bound query; default: the configuration's.

    Raises:
        LakeError: the query was not trained in this lake, or the graph or the configuration has changed since.
    """
    saved = _read(settings, lake, content)
    query = query or bind_query(settings, store.manifest)
    knowledge = EntityKnowledge.from_dict(saved["description"])
    objective = EntityObjective(knowledge.shape.task, knowledge.space, settings.training.loss)
    device = device or torch.device("cpu")
    if settings.model.network == "blocks":
        network, blocks = build_block_predictor(settings, store, query, knowledge.shape)
        _fill(network, saved, settings)
        return EntityPredictor(BlockModel(network).to(device).eval(), blocks, objective, knowledge, device)
    builder = build_entity_batches(settings, query, store, knowledge.shape.classes)
    model = build_entity_model(settings, query, store.manifest, builder, knowledge.shape, knowledge.yearly)
    _fill(model, saved, settings)
    return EntityPredictor(model.to(device).eval(), builder, objective, knowledge, device)


def _read(settings: Settings, lake: Lake, content: bytes | None) -> dict[str, Any]:
    content = content or lake.read_bytes(model_path(settings.query.name))
    if content is None:
        raise LakeError(f"lake {lake.uri} holds no model of query '{settings.query.name}'; run the train stage first")
    saved: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return saved


def _fill(model: nn.Module, saved: dict[str, Any], settings: Settings) -> None:
    try:
        model.load_state_dict(_with_new_targets(model, saved["weights"]))
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise LakeError(
            f"the model of query '{settings.query.name}' does not fit the graph or the configuration any more "
            f"({reason}); run the train stage again"
        ) from None


def _with_new_targets(model: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights with rows for targets that came after the training: nothing is learned of them but by their columns."""
    weights, wanted = dict(weights), model.state_dict()
    for path, module in model.named_modules():
        for name in module.of_targets if isinstance(module, ItemEncoder | BlockTowers) else ():
            full = f"{path}.{name}".lstrip(".")
            if full in weights and full in wanted and weights[full].shape[1:] == wanted[full].shape[1:]:
                more = max(0, len(wanted[full]) - len(weights[full]))
                weights[full] = nn.functional.pad(weights[full], (0, 0) * (wanted[full].ndim - 1) + (0, more))
    return weights
