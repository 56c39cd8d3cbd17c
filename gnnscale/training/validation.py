"""Full ranking of every target for labelled examples."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from gnnscale.arrays import Ragged
from gnnscale.batches import BatchBuilder, Examples, rank_slice
from gnnscale.metrics import evaluate_ranking
from gnnscale.nn import TwoBranchModel
from gnnscale.training.distributed_context import DistributedContext

METRICS = ("map@10", "recall@10", "recall@20", "ndcg@10")
DEPTH = 20
CELLS = 16_000_000
"""Scores held at once: entities a batch times targets."""


@torch.no_grad()
def validate(
    model: TwoBranchModel, builder: BatchBuilder, examples: Examples, place: DistributedContext
) -> dict[str, float]:
    """Mean metrics over the examples, which share one anchor; each process ranks its slice.

    Args:
        model: on the place's device.
        builder: of batches.
        examples: with targets.
        place: of this process.

    Returns:
        The same figures on every process.
    """
    training = model.training
    model.eval()
    ranked, rows = rank_all(model, builder, examples, place)
    truth = examples.take(rows)
    metrics = evaluate_ranking(
        ranked, Ragged(truth.indptr, truth.targets), builder.store.node_count(builder.query.target.name), (10, DEPTH)
    )
    sums = [float(metrics.per_entity[name].sum()) for name in METRICS]
    totals = place.total(torch.tensor([*sums, float(metrics.n_evaluated)], dtype=torch.float64, device=place.device))
    model.train(training)
    return {name: float(totals[i] / totals[-1].clamp(min=1)) for i, name in enumerate(METRICS)}


@torch.no_grad()
def rank_all(
    model: TwoBranchModel, builder: BatchBuilder, examples: Examples, place: DistributedContext
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first targets of this process's slice of the examples.

    Returns:
        Targets, int64 ``[slice, DEPTH]``, and the row numbers of the slice.
    """
    rows = rank_slice(np.arange(len(examples)), place.rank, place.workers)
    parts = builder.all_targets(int(examples.anchors[0]))
    targets = torch.cat([model.encode_targets(part.to(place.device)) for part in parts])
    depth = min(DEPTH, len(targets))
    ranked = np.full((len(rows), DEPTH), -1, np.int64)
    size = max(1, min(128, CELLS // len(targets)))
    # As many passes on every process, which may share tables of embeddings; one without rows takes the first example.
    most = -(-len(examples) // place.workers)
    for start in range(0, most, size):
        part = rows[start : start + size]
        batch = builder.build(examples.take(part if len(part) else np.zeros(1, np.int64))).to(place.device)
        scores = model(batch)
        if not len(part):
            continue
        fused = scores.entity @ targets.T
        fused[batch.example, batch.candidate_node] = scores.local
        ranked[start : start + size, :depth] = fused.topk(depth, dim=1).indices.cpu().numpy()
    return ranked, rows
