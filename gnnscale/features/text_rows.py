"""Rows of a table by what their texts say, and the nearest of them."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import Ids
from gnnscale.store import NodeFeatures

BLOCK_SCORES: Final = 1 << 24
"""Cosines that are held at once: 64 MiB."""

Floats = NDArray[np.float32]


def text_vectors(rows: NodeFeatures) -> Floats:
    """Vectors of all rows of a table, float32 ``[rows, dims]``, of length 1; zeros where a row says nothing.

    Of several columns of texts or vectors each counts the same.
    """
    parts = [unit_vectors(np.asarray(column, np.float32)) for column in rows.embedded]
    return unit_vectors(np.concatenate(parts, axis=1))


def nearest_texts(vectors: Floats, rows: Ids, k: int, there: NDArray[np.bool_]) -> tuple[Ids, Floats]:
    """The rows whose texts are nearest to those of some, ties to the smaller id.

    Args:
        vectors: of all rows, of length 1, ``[all, dims]``.
        rows: int64 ``[N]``; none is near to itself.
        k: wanted.
        there: rows that may be named, bool ``[all]``.

    Returns:
        Rows, int64 ``[N, k]``, -1 where there are fewer; and cosines, float32 ``[N, k]``, -inf there.
    """
    nodes = np.full((len(rows), k), -1, np.int64)
    cosines = np.full((len(rows), k), -np.inf, np.float32)
    known = np.flatnonzero(there)
    width, step = min(k, len(known)), max(1, BLOCK_SCORES // max(1, len(known)))
    for start in range(0, len(rows) if width else 0, step):
        part = rows[start : start + step]
        close = vectors[part] @ vectors[known].T
        close[part[:, None] == known] = -np.inf
        if width < close.shape[1]:
            edge = -np.partition(-close, width - 1, axis=1)[:, width - 1 : width]
            close = np.where(close >= edge, close, -np.inf)
        best = np.argsort(-close, axis=1, kind="stable")[:, :width]
        found = np.take_along_axis(close, best, axis=1)
        nodes[start : start + step, :width] = np.where(np.isfinite(found), known[best], -1)
        cosines[start : start + step, :width] = found
    return nodes, cosines


def unit_vectors(vectors: Floats) -> Floats:
    """Rows scaled to length 1, float32; zeros stay."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6), np.float32)
