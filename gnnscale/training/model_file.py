"""A trained model in the lake: weights, and all that is needed to build the network again."""

from __future__ import annotations

import io
from typing import Any

import torch

from gnnscale.config import Settings, bind_query
from gnnscale.lake import Lake
from gnnscale.loading import BatchBuilder
from gnnscale.nn import TwoBranchModel, build_model
from gnnscale.schema import LakeError
from gnnscale.store import GraphStore
from gnnscale.training.loop import Outcome


def model_path(query: str) -> str:
    """Where a query's model is, under the lake's root."""
    return f"_models/{query}/model.pt"


def save_model(lake: Lake, query: str, outcome: Outcome) -> str:
    """Write the best weights.

    Returns:
        The path under the lake's root.
    """
    buffer = io.BytesIO()
    torch.save({"weights": outcome.weights, "best": outcome.best}, buffer)
    lake.write_bytes(model_path(query), buffer.getvalue())
    return model_path(query)


def load_model(
    settings: Settings,
    lake: Lake,
    store: GraphStore,
    device: torch.device | None = None,
    content: bytes | None = None,
) -> tuple[TwoBranchModel, BatchBuilder]:
    """The trained network in evaluation mode, and the builder of its batches.

    Args:
        settings: as it was trained with.
        lake, store: of the graph.
        device: to put it on; default: the CPU.
        content: of a model file; default: the query's in the lake.

    Raises:
        LakeError: the query was not trained in this lake, or the graph or the configuration has changed since.
    """
    content = content or lake.read_bytes(model_path(settings.query.name))
    if content is None:
        raise LakeError(f"lake {lake.uri} holds no model of query '{settings.query.name}'; run the train stage first")
    saved: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    query = bind_query(settings, store.manifest)
    builder = BatchBuilder(store, query, settings.sampling, settings.model.siblings, settings.seed)
    model = build_model(settings, query, store.manifest, builder.context_tables)
    try:
        model.load_state_dict(saved["weights"])
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise LakeError(
            f"the model of query '{settings.query.name}' does not fit the graph or the configuration any more "
            f"({reason}); run the train stage again"
        ) from None
    return model.to(device or torch.device("cpu")).eval(), builder
