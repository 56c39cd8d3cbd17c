"""The global order of training: a keyed permutation, cut into batches that share an anchor."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gnnscale.sampling import permutation, stream_key


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


def grouped_batches(
    groups: Sequence[NDArray[np.int64]],
    batch_size: int,
    seed: int,
    epoch: int,
    lanes: int = 8,
    most: int | None = None,
) -> list[NDArray[np.int64]]:
    """Every example once, so that a reader of groups has few of them in memory at a time.

    Groups are dealt to lanes in a keyed order, each to the shortest, and so are the examples within a group. A batch
    takes from all lanes in turn: the example at position i is of lane i mod ``lanes``, so that where their number
    divides ``lanes``, :func:`rank_slice` gives each worker lanes of its own, and the batches stay what they are.

    Args:
        groups: row numbers of the examples that are read together, int64; some may be empty.
        batch_size: wanted examples a batch.
        seed: of the run.
        epoch: from 0.
        lanes: groups that are open at a time; no more than ``batch_size`` count.
        most: examples an epoch, give or take half a batch; where there are more, each epoch takes others. Default: all.

    Returns:
        Row numbers of each batch, int64; as many batches in every epoch.
    """
    lanes = max(1, min(lanes, batch_size, len(groups)))
    queues: list[list[NDArray[np.int64]]] = [[] for _ in range(lanes)]
    shortest = [(0, lane) for lane in range(lanes)]
    for number in permutation(stream_key(seed, epoch, "order/groups"), len(groups)):
        rows = groups[number]
        length, lane = heapq.heappop(shortest)
        queues[lane].append(rows[permutation(stream_key(seed, epoch, f"order/group/{number}"), len(rows))])
        heapq.heappush(shortest, (length + len(rows), lane))
    streams = [np.concatenate(queue) if queue else np.zeros(0, np.int64) for queue in queues]
    longest = max(map(len, streams))
    # [rounds, lanes]; lanes that have come to an end leave their positions empty
    table = np.full((longest, lanes), -1, np.int64)
    for lane, stream in enumerate(streams):
        table[: len(stream), lane] = stream
    flat = table[table >= 0]
    count = max(1, round(len(flat) / batch_size))
    # A batch begins at lane 0, as long as all lanes go on.
    bounds = [min(len(flat), lanes * int(len(flat) * i / (count * lanes) + 0.5)) for i in range(1, count)]
    batches = np.split(flat, bounds)
    return batches if most is None else batches[: max(1, round(most / batch_size))]


def rank_slice(batch: NDArray[np.int64], rank: int, workers: int) -> NDArray[np.int64]:
    """The part of a global batch that one worker takes."""
    return batch[rank::workers]


def chosen_batches(
    chosen: NDArray[np.int64], batch_size: int, most: int | None, seed: int, epoch: int
) -> list[NDArray[np.int64]]:
    """Batches of some of the examples, by their row numbers; see :func:`shuffled_batches`.

    Args:
        chosen: row numbers that may be taken, int64.
        batch_size: examples of a batch.
        most: examples an epoch; None for all.
        seed, epoch: of the order.
    """
    return [chosen[batch] for batch in shuffled_batches(len(chosen), batch_size, most or len(chosen), seed, epoch)]
