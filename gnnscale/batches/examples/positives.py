"""One of the targets of each example, for objectives that compare a positive with negatives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnscale.batches.examples.link_examples import Examples
from gnnscale.sampling import draw, example_keys, mulhi, stream_key


def draw_positives(examples: Examples, rows: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
    """A target of each example, every one equally likely: a function of (seed, epoch, row).

    Args:
        examples: of a split; those asked for have a target at least.
        rows: row numbers, int64 ``[rows]``.
        seed: of the run.
        epoch: from 0; each draws anew.

    Returns:
        int64 ``[rows]``.
    """
    counts = examples.indptr[rows + 1] - examples.indptr[rows]
    bits = draw(example_keys(stream_key(seed, epoch, "positives"), rows), np.uint64(0))
    return examples.targets[examples.indptr[rows] + mulhi(bits, counts.astype(np.uint64)).astype(np.int64)]
