"""The sequence network as a thing to rank with."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.batches import SequenceBatch, SequenceSource, TargetsThere
from gnnscale.nn import NOT_YET, SequenceTowers
from gnnscale.training.predictors.link_predictor import LinkPredictor, ScoredEntities


class SequencePredictor(LinkPredictor):
    """One vector an entity, of its latest action; what it has had has a score of its own where the network says so.

    Args:
        model: in evaluation mode.
        source: of sequences.
        device: of the model.
    """

    def __init__(self, model: SequenceTowers, source: SequenceSource, device: torch.device) -> None:
        super().__init__(device)
        self.model, self.source = model, source
        # Asked once: batches are made by other threads, and the network may be on a device.
        self.repeats = bool(model.repeats)

    def target_batch(self, nodes: NDArray[np.int64], anchor: int) -> TargetsThere:
        """Some targets with their columns."""
        return TargetsThere.of(self.source.builder.features, nodes, anchor)

    def entity_batch(self, nodes: NDArray[np.int64], anchor: int) -> SequenceBatch:
        """Sequences of some entities."""
        return self.source.around(nodes, np.full(len(nodes), anchor, np.int32), repeated=self.repeats)

    def target_vectors(self, batch: TargetsThere) -> Tensor:
        """Tower vectors; the bias is 0, and low enough to come last for what is not there or not to be ranked."""
        there = batch.valid & self.model.ranked(batch.rows.nodes)
        bias = torch.zeros(len(there), 1, device=there.device).masked_fill(~there.unsqueeze(1), NOT_YET)
        return torch.cat([self.model.encode_targets(batch.rows).float(), bias], dim=1)

    def entity_scores(self, batch: SequenceBatch) -> ScoredEntities:
        """Vectors, and pairs of what was had and may be ranked: a pair's score stands over that of the vectors."""
        vectors, repeated = self.model.encode_repeats(batch)
        with_bias = torch.cat([vectors.float(), torch.ones_like(vectors[:, :1])], dim=1)
        if repeated is None:
            none = torch.zeros(0, dtype=torch.int64, device=vectors.device)
            return ScoredEntities(with_bias, none, none, none.to(torch.float32))
        example, column = repeated.had.nonzero(as_tuple=True)
        target = batch.items.nodes[repeated.rows[example, column]]
        kept = self.model.ranked(target)
        scores = repeated.scores[example, column].float()
        return ScoredEntities(with_bias, example[kept], target[kept], scores[kept])
