"""Neighborhoods of labelled examples, and of any entities: sources over the builders of their batches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnscale.batches.examples.entity_examples import EntityExamples
from gnnscale.batches.examples.link_examples import Examples
from gnnscale.batches.examples.one_anchor_source import OneAnchorSource
from gnnscale.batches.examples.order import chosen_batches
from gnnscale.batches.neighborhoods.entity_batches import EntityBatch, EntityBatchBuilder
from gnnscale.batches.neighborhoods.pair_batches import BatchBuilder, PairBatch

MOST_KEPT = 1 << 29
"""Octets of the examples' features up to which they are computed once, and not anew in each epoch."""


class NeighborhoodSource:
    """Batches of the neighborhood network; see :class:`gnnscale.batches.BatchSource`.

    Args:
        builder: of the batches.
        examples: by row number.
        chosen: row numbers that an epoch takes, int64.
        batch_size: examples of a global batch.
        most: examples an epoch; where there are more, each epoch takes others. None for all.
        seed: of the order.
    """

    def __init__(
        self,
        builder: EntityBatchBuilder,
        examples: EntityExamples,
        chosen: NDArray[np.int64],
        batch_size: int,
        most: int | None,
        seed: int,
    ) -> None:
        self.builder, self.examples, self.chosen = builder, examples, chosen
        self.batch_size, self.most, self.seed = batch_size, most, seed
        width = len(builder.features.names) if builder.features else 0
        kept = len(examples) if len(examples) * width * 4 <= MOST_KEPT else 0
        # Memory is taken where rows are written.
        self._known, self._told = np.empty((kept, width), np.float32), np.zeros(kept, np.bool_)

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Batches that mix anchors."""
        return chosen_batches(self.chosen, self.batch_size, self.most, self.seed, epoch)

    def build(self, rows: NDArray[np.int64], epoch: int = 0) -> EntityBatch:
        """The neighborhoods of some examples."""
        return self.builder.build(self.examples.take(rows), epoch, self._known_of(rows))

    def _known_of(self, rows: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """What is known of some examples; None where it is not kept."""
        if not len(self._told):
            return None
        asked = rows[~self._told[rows]]
        if len(asked):
            self._known[asked] = self.builder.known(self.examples.take(asked))
            self._told[asked] = True
        return self._known[rows]

    def around(self, entities: NDArray[np.int64], anchors: NDArray[np.int32], epoch: int = 0) -> EntityBatch:
        """The neighborhoods of any entities."""
        return self.builder.build(EntityExamples.unlabelled(entities, anchors), epoch)


class PairSource(OneAnchorSource[BatchBuilder]):
    """Batches of the two-branch network."""

    def build(self, rows: NDArray[np.int64], epoch: int = 0, targets: NDArray[np.int64] | None = None) -> PairBatch:
        """The neighborhoods of some examples of one anchor, and targets beside those in them."""
        return self.builder.build(self.examples.take(rows), epoch, targets)

    def around(self, entities: NDArray[np.int64], anchors: NDArray[np.int32], epoch: int = 0) -> PairBatch:
        """The neighborhoods of any entities at one anchor."""
        return self.builder.build(Examples.unlabelled(entities, anchors), epoch)
