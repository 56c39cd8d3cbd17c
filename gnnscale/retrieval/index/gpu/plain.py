"""Scan and scores in plain torch, for devices without Triton."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnscale.retrieval.index.gpu.compared import Asked, Compared
from gnnscale.retrieval.index.gpu.plan import CELLS

PIECE = 8192
"""Targets that are multiplied at once."""


def scan(
    asked: Asked, limits: Tensor, targets: Compared, start: int, stop: int, counts: Tensor, positions: Tensor
) -> None:
    """Append the positions of targets that reach their query's limit, with its slack.

    Args:
        asked: queries.
        limits: of :meth:`Asked.limits`, float32 ``[queries]``.
        targets: all of them.
        start, stop: of the positions that are looked at.
        counts: candidates of each query, int32 ``[queries]``; counts on where there is no room.
        positions: int32 ``[queries, room]``.
    """
    queries, room = asked.values.float(), positions.shape[1]
    for first in range(start, stop, PIECE):
        piece = slice(first, min(stop, first + PIECE))
        upper = torch.addcmul(products(queries, targets, piece), asked.slack[:, None], targets.lengths[piece][None, :])
        passing = upper >= limits[:, None]
        row, column = passing.nonzero(as_tuple=True)
        added = passing.sum(1)
        # Candidates come by query, each query's one after the other.
        slot = torch.arange(len(row), device=row.device) - (added.cumsum(0) - added)[row] + counts[row]
        fits = slot < room
        positions[row[fits], slot[fits]] = (column[fits] + first).to(torch.int32)
        counts += added.to(torch.int32)


def products(queries: Tensor, targets: Compared, piece: slice) -> Tensor:
    """Scores of bf16 values, by distance ``qv - |v|^2 / 2``, summed in fp32, ``[queries, piece]``.

    Args:
        queries: bf16 values as float32, ``[queries, width]``: products of such are exact, in TF32 too.
        targets: all of them.
        piece: positions of those that are scored.
    """
    found = queries @ targets.values[piece].float().T
    return found if targets.halves is None else found - targets.halves[piece]


def score(queries: Tensor, vectors: Tensor, positions: Tensor, counts: Tensor, euclidean: bool) -> Tensor:
    """Scores in fp32; one of a query and a target depends on nothing else.

    Args:
        queries: float32 ``[queries, channels]``.
        vectors: of the targets, float32 ``[targets, channels]``; may be on the host.
        positions: int32 ``[queries, width]``.
        counts: of the positions in each row that are meant, int32 ``[queries]``.
        euclidean: whether by minus the squared distance.

    Returns:
        float32 ``[queries, width]``; minus infinity where no position is meant.
    """
    rows, width = positions.shape
    found = torch.empty((rows, width), device=queries.device)
    step = max(1, CELLS // max(1, rows * queries.shape[1]))
    meant = torch.arange(width, device=queries.device) < counts[:, None]
    for first in range(0, width, step):
        part = slice(first, first + step)
        wanted = torch.where(meant[:, part], positions[:, part], 0).to(vectors.device, torch.int64)
        taken, asked = vectors[wanted].to(queries.device), queries[:, None, :]
        terms = -(taken - asked).square() if euclidean else taken * asked
        found[:, part] = terms.sum(2)
    return found.masked_fill_(~meant, -torch.inf)
