"""The embed stage: tower vectors and pair scores of every entity and target, as Delta tables."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from gnnscale.config import Settings
from gnnscale.lake import Lake
from gnnscale.loading import BatchBuilder, Examples
from gnnscale.nn import TwoBranchModel
from gnnscale.store import GraphStore
from gnnscale.training import load_model

log = logging.getLogger(__name__)

TIMESTAMP = pa.timestamp("us", tz="UTC")


def embed(
    settings: Settings,
    lake: Lake,
    store: GraphStore,
    anchors: Sequence[int],
    device: torch.device | None = None,
    advance: Callable[[int], None] = lambda rows: None,
) -> None:
    """Write ``embeddings_<entity table>``, ``embeddings_<target table>`` and ``pairs_<query>``.

    Embeddings have columns node_id, anchor_time and vector; the inner product of an entity's vector with a target's
    is the tower branch's score. Pairs have entity, anchor_time, targets and scores: the targets inside each entity's
    own neighborhood, whose score replaces the tower's.

    Args:
        settings: names the query.
        lake: holds the graph and the model.
        store: of the graph.
        anchors: epoch seconds; rows of each are written.
        device: for the model; default: the CPU.
        advance: told of rows that are done.

    Raises:
        LakeError: there is no model, or it does not fit.
    """
    device = device or torch.device("cpu")
    model, builder = load_model(settings, lake, store, device)
    query = builder.query
    entities: list[pa.RecordBatch] = []
    targets: list[pa.RecordBatch] = []
    pairs: list[pa.RecordBatch] = []
    with torch.no_grad():
        for anchor in anchors:
            relative = anchor - store.manifest.origin
            for part in builder.all_targets(relative):
                vectors = model.encode_targets(part.to(device)).cpu().numpy()
                targets.append(_vectors(part.nodes.numpy(), anchor, vectors))
                advance(len(vectors))
            for start in range(0, store.node_count(query.entity.name), settings.retrieval.batch_size):
                entity, pair = _entities(model, builder, start, relative, anchor, settings, device)
                entities.append(entity)
                pairs.append(pair)
                advance(entity.num_rows)
    stamp = {"query": settings.query.name}
    lake.write(f"embeddings_{query.target.name}", pa.Table.from_batches(targets), metadata=stamp)
    lake.write(f"embeddings_{query.entity.name}", pa.Table.from_batches(entities), metadata=stamp)
    lake.write(f"pairs_{settings.query.name}", pa.Table.from_batches(pairs), metadata=stamp)


def _entities(
    model: TwoBranchModel,
    builder: BatchBuilder,
    start: int,
    relative: int,
    anchor: int,
    settings: Settings,
    device: torch.device,
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    stop = min(builder.store.node_count(builder.query.entity.name), start + settings.retrieval.batch_size)
    nodes = np.arange(start, stop)
    batch = builder.build(Examples.unlabelled(nodes, relative)).to(device)
    scores = model(batch)
    counts = torch.bincount(batch.example, minlength=len(nodes)).cpu().numpy()
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
    pair = pa.RecordBatch.from_pydict(
        {
            "entity": nodes,
            "anchor_time": _times(anchor, len(nodes)),
            "targets": pa.ListArray.from_arrays(offsets, pa.array(batch.candidate_node.cpu().numpy())),
            "scores": pa.ListArray.from_arrays(offsets, pa.array(scores.local.cpu().numpy())),
        }
    )
    return _vectors(nodes, anchor, scores.entity.cpu().numpy()), pair


def _vectors(nodes: NDArray[np.int64], anchor: int, vectors: NDArray[np.float32]) -> pa.RecordBatch:
    rows, channels = vectors.shape
    offsets = pa.array(np.arange(rows + 1) * channels, pa.int32())
    vector = pa.ListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(vectors).ravel()))
    return pa.RecordBatch.from_pydict({"node_id": nodes, "anchor_time": _times(anchor, rows), "vector": vector})


def _times(anchor: int, rows: int) -> pa.Array:
    return pa.array([datetime.fromtimestamp(anchor, UTC)] * rows, TIMESTAMP)
