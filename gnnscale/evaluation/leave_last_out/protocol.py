"""Where the last item of each user is ranked: among all items, and among some that are drawn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gnnscale.batches import ActionLog
from gnnscale.sampling import draw, example_keys, mulhi, stream_key

USERS = 256
"""That are scored at once."""

Scores = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]
"""Scores of all items, float32 ``[users, items]``, for users by their rows before some places."""


def rank_last(
    scores: Scores,
    log: ActionLog,
    users: NDArray[np.int64],
    places: NDArray[np.int64],
    seen: bool,
    negatives: int = 0,
    seed: int = 0,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ranks of the items at some places, from what stands before them; ties count against the model.

    Args:
        scores: of all items.
        log: what users had.
        users: int64 ``[users]``.
        places: of the right item of each, int64 ``[users]``.
        seen: whether items that the user has had before are ranked too.
        negatives: unseen items that the right one is ranked among too.
        seed: that these are drawn by.

    Returns:
        Ranks from 1 among all items, and among the drawn ones; int64 ``[users]`` each.
    """
    full, sampled = np.zeros(len(users), np.int64), np.zeros(len(users), np.int64)
    for start in range(0, len(users), USERS):
        own, ends = users[start : start + USERS], places[start : start + USERS]
        found = scores(own, ends)
        right = log.targets_at(ends)
        best = found[np.arange(len(own)), right]
        # Not greater by a rounding, nor unordered as NaN is: what is not below the right item is before it.
        before = ~(found < best[:, None])
        before[np.arange(len(own)), right] = False
        for row, (user, end) in enumerate(zip(own, ends, strict=True)):
            had = log.targets_at(np.arange(log.indptr[user], end))
            whole = before[row]
            if not seen:
                whole = whole.copy()
                whole[had] = False
            full[start + row] = 1 + whole.sum()
            drawn = draw_unseen(int(user), np.append(had, right[row]), found.shape[1], negatives, seed)
            sampled[start + row] = 1 + before[row, drawn].sum()
    return full, sampled


def draw_unseen(user: int, had: NDArray[np.int64], items: int, number: int, seed: int) -> NDArray[np.int64]:
    """Items that a user has not had, uniform and without repeats: a function of (seed, user).

    Args:
        user: number of the user.
        had: items that are not taken.
        items: number of all.
        number: wanted; fewer come back where there are no more.
        seed: of the run.
    """
    left = np.setdiff1d(np.arange(items), had) if number else np.zeros(0, np.int64)
    key = example_keys(stream_key(seed, 0, "leave_last_out/negatives"), np.array([user]))
    for slot in range(min(number, len(left))):
        # The shuffle of Fisher and Yates, as far as it is needed.
        bits = draw(key, np.uint64(slot))
        other = slot + int(mulhi(bits, np.array([len(left) - slot], np.uint64))[0])
        left[slot], left[other] = left[other], left[slot]
    return left[:number]


def list_figures(ranks: NDArray[np.int64], length: int) -> dict[str, NDArray[np.float64]]:
    """Hit rate and NDCG of lists with one right item, of each user: ``hr@k`` and ``ndcg@k``."""
    hit = (ranks <= length).astype(np.float64)
    return {f"hr@{length}": hit, f"ndcg@{length}": hit / np.log2(ranks + 1.0)}
