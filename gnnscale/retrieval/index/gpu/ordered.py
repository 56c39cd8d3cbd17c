"""Scored targets as single integers, which order them best first and ties by the smaller id."""

from __future__ import annotations

import torch
from torch import Tensor

NONE = -(2**63)
"""In place of a target where there is none; comes after all others."""
_LOW = 2**32 - 1


def as_keys(scores: Tensor, ids: Tensor) -> Tensor:
    """Larger is better, and no two targets are equal, so that the largest don't depend on the order they come in.

    Args:
        scores: float32 ``[...]``, not NaN.
        ids: int64 ``[...]``, of targets; -1 where there is none.

    Returns:
        int64 ``[...]``.
    """
    # Bits of floats order as integers do, the negative ones backwards; adding zero makes one zero of the two.
    bits = (scores + 0.0).view(torch.int32)
    upper = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).to(torch.int64)
    return torch.where(ids < 0, NONE, (upper << 32) | (_LOW - ids))


def scores_of(keys: Tensor) -> Tensor:
    """Scores that keys were made of, float32; minus infinity where there is no target."""
    upper = (keys >> 32).to(torch.int32)
    scores = torch.where(upper < 0, upper ^ 0x7FFFFFFF, upper).view(torch.float32)
    return torch.where(keys == NONE, -torch.inf, scores)


def ids_of(keys: Tensor) -> Tensor:
    """Targets that keys were made of, int64; -1 where there is none."""
    return torch.where(keys == NONE, -1, _LOW - (keys & _LOW))


def best_of(keys: Tensor, more: Tensor) -> Tensor:
    """The largest of two sets of keys, ``[rows, a]`` and ``[rows, b]``, as many as the first has, descending."""
    return torch.cat([keys, more], dim=1).topk(keys.shape[1], dim=1).values
