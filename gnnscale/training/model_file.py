"""A trained model in the lake: weights, and all that is needed to build the network again."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gnnscale.config import Settings, bind_query
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery
from gnnscale.schema import LakeError
from gnnscale.store import GraphStore
from gnnscale.training.checkpoint_file import check_model, read_tensors
from gnnscale.training.networks.network import find_network
from gnnscale.training.objectives.node_knowledge import NodeKnowledge
from gnnscale.training.predictors.link_predictor import LinkPredictor
from gnnscale.training.predictors.node_predictor import NodePredictor
from gnnscale.training.train_result import TrainResult
from gnnscale.training.trees.refit_model import RefitModel


def model_path(query: str) -> str:
    """Where a query's model is, under the lake's root."""
    return f"_models/{query}/model.pt"


def trees_path(query: str) -> str:
    """Where the boosted trees are that were grown beside a query's network: a folder of their own under the root."""
    return f"_models/{query}/trees/model.pt"


def blend_path(query: str) -> str:
    """Where is written what a query's answers are made of beside the network, under the lake's root."""
    return f"_models/{query}/blend.json"


def save_model(lake: Lake, query: str, outcome: TrainResult) -> str:
    """Write the best weights, and what is known from the training labels beside them.

    Returns:
        The path under the lake's root.
    """
    lake.write_bytes(model_path(query), model_bytes(outcome))
    return model_path(query)


def model_bytes(outcome: TrainResult) -> bytes:
    """The content of a model file."""
    buffer = io.BytesIO()
    content = {"weights": outcome.weights, "best": outcome.best, "description": outcome.description}
    torch.save(content, buffer)
    return buffer.getvalue()


def load_link_model(
    settings: Settings,
    lake: Lake,
    store: GraphStore,
    device: torch.device | None = None,
    content: bytes | None = None,
    held_out: bool = False,
) -> LinkPredictor:
    """The trained network of a query that ranks rows.

    Args:
        settings: as it was trained with.
        lake, store: of the graph.
        device: to put it on; default: the CPU.
        content: of a model file; default: the query's in the lake.
        held_out: as it was before it was fitted again with the validation examples, where it was: to be judged by them.

    Raises:
        LakeError: the query was not trained in this lake, or the graph or the configuration has changed since.
    """
    device = device or torch.device("cpu")
    saved = _read(settings, lake, content)
    query = bind_query(settings, store.manifest)
    network = find_network(settings, query)(settings, store, query)
    source = network.links_anywhere()
    model = network.link_model(source, np.ones(store.node_count(query.target.name), bool))
    _fill(model, saved, settings)
    if held_out and isinstance(model, RefitModel):
        model.hold_out()
    predictor: LinkPredictor = network.predictor(model.to(device).eval(), source, device)
    return predictor


def load_node_model(
    settings: Settings,
    lake: Lake,
    store: GraphStore,
    device: torch.device | None = None,
    content: bytes | None = None,
    query: PredictiveQuery | None = None,
    held_out: bool = False,
) -> NodePredictor:
    """The trained network of a node-level task.

    Args:
        settings: as it was trained with.
        lake, store: of the graph.
        device: to put it on; default: the CPU.
        content: of a model file; default: the query's in the lake.
        query: bound query; default: the configuration's.
        held_out: as of :func:`load_link_model`.

    Raises:
        LakeError: the query was not trained in this lake, or the graph or the configuration has changed since.
    """
    device = device or torch.device("cpu")
    saved = _read(settings, lake, content)
    query = query or bind_query(settings, store.manifest)
    knowledge = _knowledge(saved, settings)
    network = find_network(settings, query)(settings, store, query)
    source = network.nodes_anywhere(knowledge.shape)
    model = network.node_model(source, knowledge)
    _fill(model, saved, settings)
    if held_out and isinstance(model, RefitModel):
        model.hold_out()
    return NodePredictor(query, model.to(device).eval(), source, knowledge, device)


def _read(settings: Settings, lake: Lake, content: bytes | None) -> dict[str, Any]:
    content = content or lake.read_bytes(model_path(settings.query.name))
    if content is None:
        raise LakeError(f"lake {lake.uri} holds no model of query '{settings.query.name}'; run the train stage first")
    place = f"{lake.uri}/{model_path(settings.query.name)}"
    saved = read_tensors(content, place)
    check_model(saved, place)
    return saved


def _knowledge(saved: dict[str, Any], settings: Settings) -> NodeKnowledge:
    try:
        return NodeKnowledge.from_dict(saved["description"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LakeError(
            f"the description of the model of query '{settings.query.name}' is damaged ({type(error).__name__}: "
            f"{error}); run the train stage again"
        ) from None


def _fill(model: nn.Module, saved: dict[str, Any], settings: Settings) -> None:
    try:
        model.load_state_dict(_with_new_nodes(model, saved["weights"]))
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise LakeError(
            f"the model of query '{settings.query.name}' does not fit the graph or the configuration any more "
            f"({reason}); run the train stage again"
        ) from None


def _with_new_nodes(model: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights with rows for nodes that came after the training, of which nothing is learned but by what they say."""
    weights, wanted = dict(weights), model.state_dict()
    for path, module in model.named_modules():
        for name in getattr(module, "by_node", ()):
            full = f"{path}.{name}".lstrip(".")
            if full in weights and full in wanted and weights[full].shape[1:] == wanted[full].shape[1:]:
                more = max(0, len(wanted[full]) - len(weights[full]))
                weights[full] = nn.functional.pad(weights[full], (0, 0) * (wanted[full].ndim - 1) + (0, more))
    return weights
