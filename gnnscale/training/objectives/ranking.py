"""Full ranking of the targets for labelled examples, of every network alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.arrays import Ragged
from gnnscale.batches import Batch, Examples, rank_slice
from gnnscale.metrics import evaluate_lists, find_list_metric
from gnnscale.nn import NOT_YET
from gnnscale.training.distributed_context import DistributedContext
from gnnscale.training.predictors.link_predictor import LinkPredictor

CELLS = 16_000_000
"""Scores held at once: entities a batch times targets."""


def validate_ranking(
    predictor: LinkPredictor,
    batch_of: Callable[[NDArray[np.int64]], Batch],
    examples: Examples,
    rows: NDArray[np.int64],
    count: int,
    names: Sequence[str],
    context: DistributedContext,
    past: Callable[[NDArray[np.int64]], Ragged] | None = None,
) -> dict[str, float]:
    """Mean metrics over some examples; each process ranks its slice.

    Args:
        predictor: over a network in evaluation mode, on the context's device.
        batch_of: the batch of some examples of one anchor, by row number.
        examples: with targets.
        rows: of those that count, int64.
        count: of targets.
        names: of the metrics, such as ``map@10``; each has a value per entity.
        context: of this process.
        past: targets of some rows that are not ranked, a row for each; None to rank all.

    Returns:
        The same figures on every process.
    """
    depth = max(find_list_metric(name)[1] for name in names)
    ranked, own = rank_targets(predictor, batch_of, examples.anchors[rows], rows, count, depth, context, past)
    truth = examples.take(own)
    metrics = evaluate_lists(names, ranked, Ragged(truth.indptr, truth.targets), count)
    sums = [float(metrics.per_entity[name].sum()) for name in names]
    totals = context.total(
        torch.tensor([*sums, float(metrics.n_evaluated)], dtype=torch.float64, device=context.device)
    )
    return {name: float(totals[i] / totals[-1].clamp(min=1)) for i, name in enumerate(names)}


@torch.no_grad()
def rank_targets(
    predictor: LinkPredictor,
    batch_of: Callable[[NDArray[np.int64]], Batch],
    anchors: NDArray[np.int32],
    rows: NDArray[np.int64],
    count: int,
    depth: int,
    context: DistributedContext,
    past: Callable[[NDArray[np.int64]], Ragged] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first targets of this process's slice of some examples.

    Args:
        predictor: over a network in evaluation mode, on the context's device.
        batch_of: the batch of some examples of one anchor, by row number.
        anchors: of the examples, int32 ``[rows]``.
        rows: their numbers, int64 ``[rows]``.
        count: of targets.
        depth: targets that each gets at most.
        context: of this process.
        past: targets of some rows that are not ranked, a row for each; None to rank all.

    Returns:
        Targets, int64 ``[slice, depth]``, -1 where there are no more that may be ranked; and the slice's row numbers.
    """
    ranked, own = [np.zeros((0, depth), np.int64)], [np.zeros(0, np.int64)]
    for anchor in np.unique(anchors):
        group = rows[anchors == anchor]
        mine = rank_slice(group, context.rank, context.workers)
        targets = _target_vectors(predictor, count, int(anchor), context.device)
        size = max(1, min(predictor.entities_at_once, CELLS // max(1, count)))
        # As many passes on every process, which may share tables of embeddings; one without rows takes the first.
        for start in range(0, -(-len(group) // context.workers), size):
            part = mine[start : start + size]
            asked = part if len(part) else group[:1]
            batch = batch_of(asked).to(context.device)
            found = _first_targets(predictor, batch, targets, depth, past(asked) if past is not None else None)
            if len(part):
                ranked.append(found)
        own.append(mine)
    return np.concatenate(ranked), np.concatenate(own)


def _target_vectors(predictor: LinkPredictor, count: int, anchor: int, device: torch.device) -> Tensor:
    """Of all targets, ``[targets, channels]``."""
    size = predictor.targets_at_once
    parts = (
        predictor.target_batch(np.arange(start, min(count, start + size)), anchor) for start in range(0, count, size)
    )
    return torch.cat([predictor.target_vectors(part.to(device)) for part in parts])


def _first_targets(
    predictor: LinkPredictor, batch: Batch, targets: Tensor, depth: int, past: Ragged | None = None
) -> NDArray[np.int64]:
    """Of the entities of a batch, int64 ``[batch, depth]``."""
    scored = predictor.entity_scores(batch)
    # [batch, targets]
    scores = scored.vectors @ targets.T
    scores[scored.example, scored.target] = scored.score
    if past is not None:
        scores[torch.from_numpy(past.row_of_value), torch.from_numpy(past.values)] = NOT_YET
    best = scores.topk(min(depth, scores.shape[1]), dim=1)
    # What is not there at the anchor is not ranked.
    indices = best.indices.masked_fill(best.values <= NOT_YET / 2, -1).cpu().numpy()
    return np.pad(indices, ((0, 0), (0, depth - indices.shape[1])), constant_values=-1)
