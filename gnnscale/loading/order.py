"""The global order of training: a keyed permutation, cut into batches that share an anchor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnscale.sampling.keys import permutation, stream_key


def epoch_batches(anchors: NDArray[np.int32], batch_size: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """Every example once, as global batches in the order in which an epoch takes them.

    The examples of a batch share one anchor, so that what is known of a target at that time is computed once.
    The sequence depends on the seed and the epoch alone, not on how many workers share a batch.

    Args:
        anchors: int32 ``[examples]``.
        batch_size: wanted examples a batch; the batches of an anchor are of equal size, give or take one.
        seed: of the run.
        epoch: from 0.

    Returns:
        Row numbers of each batch, int64.
    """
    batches: list[NDArray[np.int64]] = []
    for anchor in np.unique(anchors):
        rows = np.flatnonzero(anchors == anchor)
        rows = rows[permutation(stream_key(seed, epoch, f"order/{anchor}"), len(rows))]
        batches += np.array_split(rows, max(1, round(len(rows) / batch_size)))
    order = permutation(stream_key(seed, epoch, "order/batches"), len(batches))
    return [batches[i] for i in order]


def shuffled_batches(count: int, batch_size: int, most: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """Examples in a keyed order, as global batches that may mix anchors.

    Args:
        count: number of examples.
        batch_size: wanted examples a batch; batches are of equal size, give or take one.
        most: examples an epoch; where there are more, another sample of this size is taken each epoch.
        seed: of the run.
        epoch: from 0.

    Returns:
        Row numbers of each batch, int64; each row at most once.
    """
    rows = permutation(stream_key(seed, epoch, "order/examples"), count)[:most]
    return list(np.array_split(rows, max(1, round(len(rows) / batch_size))))


def rank_slice(batch: NDArray[np.int64], rank: int, workers: int) -> NDArray[np.int64]:
    """The part of a global batch that one worker takes."""
    return batch[rank::workers]
