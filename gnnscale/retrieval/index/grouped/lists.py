"""Targets by list: those of one cluster lie together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gnnscale.arrays import create_array
from gnnscale.retrieval.index.grouped.clusters import Rows, nearest_lists, train_centroids
from gnnscale.retrieval.index.grouped.products import Comparison, arithmetic, products_of
from gnnscale.retrieval.index.metric import Metric, as_searched
from gnnscale.retrieval.index.setting import WIDTHS, IndexSetting

ROWS = 65_536
"""Vectors whose residuals are computed together."""
CHUNK = 1_000_000
"""Vectors that are read together."""
LARGEST = 4
"""A list has at most so many times the targets of an average one."""
SMALL = ("centroids", "bounds", "ids", "spreads", "gaps")
"""Arrays that are kept whole."""
SAMPLE = 2048
"""Vectors that gaps are found from."""
WIDENING = 0.35
"""Share of a list's spread by which its best vector is taken to top its centroid. On embeddings of 18 intrinsic
dimensions .98 of the neighbors were in 1.9 lists by it, and in 4 without."""
PER_NEIGHBORHOOD = 32
"""Lists that lie next to each other because their centroids are near."""

ARRAYS = ("centroids", "bounds", "ids", "vectors", "residuals", "spreads", "gaps")


@dataclass(frozen=True)
class ClusteredVectors:
    """Targets in order of their lists, and the lists in order of their neighborhoods.

    Args:
        centroids: float32 ``[lists, channels]``.
        bounds: positions of each list, int64 ``[lists + 1]``.
        ids: of the target at each position, int32 ``[targets]``.
        vectors: by position, float32 ``[targets, channels]``.
        spreads: root mean square length of what is left of each list's vectors without the centroid, float32
            ``[lists]``.
        gaps: how much worse than its best list a list may look to a query of length one for so many lists to be looked
            at on average as each of ``WIDTHS`` says, float32; see :func:`promises`.
        residuals: vectors less their list's centroid in bf16, as the int16 of its bits, ``[targets, channels]``; with
            no rows where the index compares in fp32.
    """

    centroids: NDArray[np.float32]
    bounds: NDArray[np.int64]
    ids: NDArray[np.int32]
    vectors: NDArray[np.float32]
    residuals: NDArray[np.int16]
    spreads: NDArray[np.float32]
    gaps: NDArray[np.float32]

    @classmethod
    def build(
        cls, vectors: NDArray[np.float32], setting: IndexSetting, threads: int, folder: Path | None = None
    ) -> ClusteredVectors:
        """Cluster targets.

        Args:
            vectors: row i is target i, ``[targets, channels]``; may be mapped.
            setting: number of clusters, metric, precision and seed count.
            threads: that share the work.
            folder: keeps the arrays, which are mapped from there; default: memory does.

        Raises:
            DataError: a vector is not finite, or has no direction where the metric needs one.
        """
        kind = arithmetic(setting.options.precision)
        count, channels = vectors.shape
        lists = min(setting.options.nlist, count)
        sampled = SearchedVectors(vectors, setting.metric)
        centroids, members = divide(sampled, lists, Comparison(kind, threads), setting.seed)
        bounds = np.concatenate([[0], np.cumsum(np.bincount(members, minlength=len(centroids)))]).astype(np.int64)
        low = kind is torch.bfloat16
        ids = np.empty(count, np.int32)
        placed = _room(folder, "vectors", (count, channels), np.float32)
        residuals = _room(folder, "residuals", (count if low else 0, channels), np.int16)
        squares, filled = np.zeros(len(centroids)), bounds[:-1].copy()
        # Vectors are read as they come; of so many, those of a list are neighbors on the disk that they are written to.
        for start in range(0, count, CHUNK):
            rows = np.argsort(members[start : start + CHUNK], kind="stable") + start
            own = members[rows]
            positions = filled[own] + np.arange(len(rows)) - np.searchsorted(own, own)
            filled += np.bincount(own, minlength=len(centroids))
            ids[positions] = rows
            part = sampled[start : start + CHUNK][rows - start]
            for first in range(0, len(rows), ROWS):
                some = slice(first, first + ROWS)
                placed[positions[some]] = part[some]
                rest = part[some] - centroids[own[some]]
                squares += np.bincount(own[some], (rest * rest).sum(1), len(centroids))
                if low:
                    residuals[positions[some]] = torch.from_numpy(rest).bfloat16().view(torch.int16).numpy()
        spreads = np.sqrt(squares / np.maximum(np.diff(bounds), 1)).astype(np.float32)
        gaps = find_gaps(sampled, centroids, spreads, setting.seed, threads)
        if folder is not None:
            small: tuple[NDArray[Any], ...] = (centroids, bounds, ids, spreads, gaps)
            for name, array in zip(SMALL, small, strict=True):
                np.save(folder / f"{name}.npy", array)
        return cls(centroids, bounds, ids, placed, residuals, spreads, gaps)

    def write(self, folder: Path) -> None:
        """Keep the arrays in a folder, but for those that are there: what :meth:`build` kept is mapped from them."""
        for name in ARRAYS:
            if not (folder / f"{name}.npy").exists():
                np.save(folder / f"{name}.npy", getattr(self, name))

    @classmethod
    def open(cls, folder: Path) -> ClusteredVectors:
        """Arrays that :meth:`build` kept in a folder, mapped."""
        return cls(**{name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS})


def promises(
    scores: NDArray[np.float32], lengths: NDArray[np.float32], spreads: NDArray[np.float32]
) -> NDArray[np.float32]:
    """What the best vector of each list may score: its centroid's score, and the more, the wider the list.

    Args:
        scores: of centroids for queries, ``[queries, lists]``.
        lengths: of the queries, ``[queries]``.
        spreads: of the lists, ``[lists]``.
    """
    found: NDArray[np.float32] = scores + np.float32(WIDENING) * lengths[:, None] * spreads
    return found


def find_gaps(
    vectors: Rows, centroids: NDArray[np.float32], spreads: NDArray[np.float32], seed: int, threads: int
) -> NDArray[np.float32]:
    """From some of the vectors, taken as queries: see :class:`ClusteredVectors`."""
    rng = np.random.default_rng(seed)
    some = vectors[np.sort(rng.choice(len(vectors), min(len(vectors), SAMPLE), replace=False))]
    lengths = np.linalg.norm(some, axis=1).astype(np.float32)
    promised = promises(products_of(some, centroids, threads), lengths, spreads) / np.maximum(lengths, 1e-12)[:, None]
    behind = np.sort((promised.max(1, keepdims=True) - promised).ravel())
    positions = np.minimum(np.array(WIDTHS) * len(some), behind.size) - 1
    return behind[positions].astype(np.float32)


class SearchedVectors:
    """Vectors in the form of a metric, made when rows are taken."""

    def __init__(self, vectors: NDArray[np.float32], metric: Metric) -> None:
        self.vectors, self.metric = vectors, metric

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, rows: Any) -> NDArray[np.float32]:
        return as_searched(self.metric, self.vectors[rows], "target vectors")


def _room(folder: Path | None, name: str, shape: tuple[int, int], kind: type) -> NDArray[Any]:
    if folder is None or not shape[0]:
        array: NDArray[Any] = np.empty(shape, kind)
        if folder is not None:
            np.save(folder / f"{name}.npy", array)
        return array
    return create_array(folder / f"{name}.npy", kind, shape)


def divide(vectors: Rows, lists: int, by: Comparison, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Lists of vectors, near ones next to each other, and each vector's list.

    Args:
        vectors: ``[rows, channels]``, in the form that they are compared in.
        lists: their number; those that are far too large are divided.
        by: what compares vectors.
        seed: of samples.

    Returns:
        Centroids, float32 ``[lists or more, channels]``, and lists, int32 ``[rows]``.
    """
    centroids, members = _split(vectors, train_centroids(vectors, lists, by, seed), by, seed)
    order = _neighborhoods(centroids, by, seed)
    return centroids[order], np.argsort(order).astype(np.int32)[members]


def _split(
    vectors: Rows, centroids: NDArray[np.float32], by: Comparison, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Each vector's list, after lists that got far more than their share are divided.

    What k-means can't divide, as it can't equal vectors, is cut in pieces that share a centroid.

    Returns:
        Centroids, float32 ``[lists, channels]``, and lists, int32 ``[rows]``.
    """
    members = nearest_lists(vectors, torch.from_numpy(centroids), True, by)
    most = max(64, LARGEST * len(vectors) // len(centroids))
    found = [centroids]
    count = len(centroids)
    sizes = np.bincount(members, minlength=count)
    for large in np.flatnonzero(sizes > most):
        rows = np.flatnonzero(members == large)
        wanted = -(-len(rows) * LARGEST // most)
        sub = train_centroids(_Rows(vectors, rows), wanted, by, seed)
        where = nearest_lists(_Rows(vectors, rows), torch.from_numpy(sub), True, by)
        order = np.argsort(where, kind="stable")
        ends = np.cumsum(np.bincount(where, minlength=wanted))
        pieces = [
            (part, stretch[i : i + most])
            for part, stretch in enumerate(np.split(order, ends[:-1]))
            for i in range(0, len(stretch), most)
        ]
        # The first piece takes the place of the list that was divided.
        for number, (part, stretch) in enumerate(pieces):
            at = int(large) if number == 0 else count
            members[rows[stretch]] = at
            if number == 0:
                centroids[large] = sub[part]
            else:
                found.append(sub[part : part + 1])
                count += 1
    return np.concatenate(found), members


class _Rows:
    """Some rows of vectors."""

    def __init__(self, vectors: Rows, rows: NDArray[np.int64]) -> None:
        self.vectors, self.rows = vectors, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Any) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self.vectors[self.rows[rows]]
        return found


def _neighborhoods(centroids: NDArray[np.float32], by: Comparison, seed: int) -> NDArray[np.int64]:
    """An order of the lists in which near ones follow each other."""
    number = max(1, len(centroids) // PER_NEIGHBORHOOD)
    coarse = train_centroids(centroids, number, by, seed)
    return np.argsort(nearest_lists(centroids, torch.from_numpy(coarse), True, by), kind="stable")
