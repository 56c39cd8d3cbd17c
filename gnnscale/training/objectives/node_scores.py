"""Predictions of node-level tasks for many examples, of every network alike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnscale.batches import Batch, rank_slice
from gnnscale.training.distributed_context import DistributedContext
from gnnscale.training.objectives.node_knowledge import NodeKnowledge

BATCH = 512
"""Examples that are scored at once."""


@torch.no_grad()
def score_rows(
    model: nn.Module,
    batch_of: Callable[[NDArray[np.int64]], Batch],
    knowledge: NodeKnowledge,
    count: int,
    context: DistributedContext,
) -> NDArray[np.float32]:
    """Predictions of all examples, each process's slice by itself.

    Args:
        model: in evaluation mode, on the context's device.
        batch_of: the batch of some examples by their numbers, int64 ``[rows]``.
        knowledge: reads the outputs.
        count: of examples.
        context: of this process.

    Returns:
        float32 ``[examples, scores]``, the same on every process.
    """

    def score(rows: NDArray[np.int64]) -> Tensor:
        return knowledge.predict(model(*batch_of(rows).to(context.device).inputs()))

    rows = rank_slice(np.arange(count), context.rank, context.workers)
    # An empty slice is scored as one example, so that the width is known.
    starts = range(0, max(1, len(rows)), BATCH)
    scores = torch.cat([score(rows[s : s + BATCH] if len(rows) else np.zeros(1, np.int64)) for s in starts])
    found = scores.new_zeros(count, scores.shape[1])
    found[torch.from_numpy(rows).to(context.device)] = scores[: len(rows)]
    return context.total(found).cpu().numpy().astype(np.float32)
