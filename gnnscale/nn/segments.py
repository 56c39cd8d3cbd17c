"""Reductions over rows that share an index."""

from __future__ import annotations

import torch
from torch import Tensor


def take_rows(values: Tensor, rows: Tensor) -> Tensor:
    """Some rows, any of them several times: ``[rows, ...]``, int64 ``[taken]`` -> ``[taken, ...]``.

    The same as ``values[rows]``, whose gradient goes a longer way.
    """
    return values.index_select(0, rows)


def segment_sum(values: Tensor, index: Tensor, segments: int) -> Tensor:
    """Sum the rows of each segment: ``[rows, ...]``, int64 ``[rows]`` -> ``[segments, ...]``."""
    return values.new_zeros((segments, *values.shape[1:])).index_add(0, index, values)


def segment_logsumexp(values: Tensor, index: Tensor, segments: int, more: Tensor | None = None) -> Tensor:
    """log sum exp of each segment, with further columns of its own.

    Args:
        values: ``[rows]``.
        index: segment of each row, int64 ``[rows]``.
        segments: their number.
        more: ``[segments, columns]``, taken into each segment's sum; -inf drops an entry.

    Returns:
        ``[segments]``; a segment without entries is the logarithm of the smallest normal number plus its shift.
    """
    top = torch.full((segments,), -1e9, dtype=values.dtype, device=values.device)
    top = top.scatter_reduce(0, index, values.detach(), "amax")
    if more is not None and more.shape[1]:
        top = torch.maximum(top, more.detach().amax(1))
    total = segment_sum(torch.exp(values - top[index]), index, segments)
    if more is not None:
        total = total + torch.exp(more - top.unsqueeze(1)).sum(1)
    return top + torch.log(total.clamp(min=torch.finfo(values.dtype).tiny))


def segment_max(values: Tensor, index: Tensor, segments: int) -> Tensor:
    """Largest of each segment: ``[rows, columns]``, int64 ``[rows]`` -> ``[segments, columns]``; 0 of an empty one."""
    found = values.new_zeros(segments, values.shape[1])
    return found.scatter_reduce(0, index.unsqueeze(1).expand_as(values), values, "amax", include_self=False)
