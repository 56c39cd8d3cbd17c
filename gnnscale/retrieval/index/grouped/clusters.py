"""k-means for the lists of a grouped index (Lloyd, 1982), and which list a vector belongs to."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.retrieval.index.grouped.grouped_kernels import largest_bf16
from gnnscale.retrieval.index.grouped.products import Comparison, as_scores, half_squares
from gnnscale.retrieval.index.grouped.workers import one_core_each

ROUNDS = 8
PER_LIST = 64
"""Vectors of the sample that each list is trained on."""
STEP = 2048
"""Vectors that are compared with all centroids at once."""
CELLS, ROWS = 1 << 27, 1 << 18
"""Scores, and vectors, that a device holds at once."""


class Rows(Protocol):
    """Vectors that are read where they are wanted: an array, a mapped one or what makes them."""

    def __len__(self) -> int:
        """Number of vectors."""

    def __getitem__(self, rows: Any, /) -> NDArray[np.float32]:
        """Some of them, ``[rows, channels]``."""


def train_centroids(vectors: Rows, lists: int, by: Comparison, seed: int) -> NDArray[np.float32]:
    """Centroids of a sample of the vectors, float32 ``[lists, channels]``.

    A list that no vector of the sample comes to begins again at one that is drawn.

    Args:
        vectors: ``[rows, channels]``, at least as many as lists.
        lists: their number.
        by: what compares them.
        seed: of the sample.
    """
    rng = np.random.default_rng(seed)
    size = min(len(vectors), PER_LIST * lists)
    sample = torch.from_numpy(vectors[np.sort(rng.choice(len(vectors), size, replace=False))])
    centroids = sample[torch.from_numpy(rng.choice(size, lists, replace=False))].clone()
    for _ in range(ROUNDS):
        nearest = torch.from_numpy(nearest_lists(sample.numpy(), centroids, True, by)).long()
        sums = torch.zeros_like(centroids).index_add_(0, nearest, sample)
        counts = torch.bincount(nearest, minlength=lists)
        centroids = sums / counts.clamp(min=1)[:, None]
        empty = torch.nonzero(counts == 0).ravel()
        centroids[empty] = sample[torch.from_numpy(rng.choice(size, len(empty)))]
    return centroids.numpy()


def nearest_lists(vectors: Rows, centroids: Tensor, euclidean: bool, by: Comparison) -> NDArray[np.int32]:
    """Each vector's nearest centroid, int32 ``[rows]``.

    Args:
        vectors: ``[rows, channels]``; may be mapped.
        centroids: ``[lists, channels]``.
        euclidean: whether by distance; else by the inner product.
        by: what compares them.
    """
    kind = by.kind
    if by.device is not None:
        return _nearest_on(by.device, vectors, centroids, euclidean, kind)
    turned = centroids.to(kind).T.contiguous()
    taken_off = (half_squares(centroids) if euclidean else torch.zeros(len(centroids))).to(kind)
    found = np.empty(len(vectors), np.int32)

    def find(start: int) -> None:
        part = torch.from_numpy(np.array(vectors[start : start + STEP])).to(kind)
        scores = torch.addmm(taken_off, part, turned, beta=-1)
        if kind is torch.bfloat16:
            largest_bf16(as_scores(scores), found[start : start + STEP])
        else:
            found[start : start + STEP] = scores.argmax(1).numpy()

    with one_core_each(by.threads) as pool:
        list(pool.map(find, range(0, len(vectors), STEP)))
    return found


def _nearest_on(
    device: torch.device, vectors: Rows, centroids: Tensor, euclidean: bool, kind: torch.dtype
) -> NDArray[np.int32]:
    """As :func:`nearest_lists`, on a device."""
    there = centroids.to(device)
    turned = there.to(kind).T.contiguous()
    taken_off = half_squares(there).to(kind) if euclidean else turned.new_zeros(len(there))
    found = np.empty(len(vectors), np.int32)
    step = min(ROWS, max(1, CELLS // len(there)))
    for start in range(0, len(vectors), step):
        part = torch.from_numpy(np.array(vectors[start : start + step])).to(device, kind)
        found[start : start + step] = torch.addmm(taken_off, part, turned, beta=-1).argmax(1).int().cpu().numpy()
    return found
