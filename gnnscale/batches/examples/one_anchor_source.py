"""Examples in batches that share an anchor."""

from __future__ import annotations

from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from gnnscale.batches.examples.link_examples import Examples
from gnnscale.batches.examples.order import epoch_batches

Builder = TypeVar("Builder")


class OneAnchorSource(Generic[Builder]):
    """What sources have in common whose batches are of one anchor; see :class:`gnnscale.batches.LinkBatchSource`.

    Args:
        builder: of the batches.
        examples: by row number.
        chosen: row numbers that an epoch takes, int64.
        batch_size: wanted examples of a global batch.
        seed: of the order.
    """

    def __init__(
        self, builder: Builder, examples: Examples, chosen: NDArray[np.int64], batch_size: int, seed: int
    ) -> None:
        self.builder, self.examples, self.chosen = builder, examples, chosen
        self.batch_size, self.seed = batch_size, seed

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Every chosen example once."""
        found = epoch_batches(self.examples.anchors[self.chosen], self.batch_size, self.seed, epoch)
        return [self.chosen[rows] for rows in found]
