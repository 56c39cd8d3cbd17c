"""The grouped index: clusters of targets, searched for a neighborhood of queries at a time."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.retrieval.index.grouped.clusters import nearest_lists
from gnnscale.retrieval.index.grouped.grouped_kernels import list_queries, scan_bf16, scan_fp32, score_again
from gnnscale.retrieval.index.grouped.lists import ClusteredVectors, promises
from gnnscale.retrieval.index.grouped.products import Comparison, arithmetic, as_scores
from gnnscale.retrieval.index.grouped.workers import one_core_each
from gnnscale.retrieval.index.metric import as_searched
from gnnscale.retrieval.index.neighbors import Neighbors
from gnnscale.retrieval.index.setting import WIDTHS, IndexSetting
from gnnscale.schema import DataError

GROUP = 4096
"""Most queries of a group."""
LISTS_OF_GROUP = 64
"""Most lists that the queries of a group are nearest to."""
NEAR = (128, 8)
"""A query chooses from at least so many lists around its nearest one, and from so many times ``nprobe``."""
TILE = (512, 2048)
"""Queries and targets whose scores are held at once, to stay in a core's cache."""
STEPS = (64, 256)
"""What numbers of queries and targets are rounded up to."""
SPARE = 16
"""Least candidates beyond k that are scored again."""

TINY = np.float32(np.finfo(np.float32).tiny)
NUMBERS = np.arange(65_536, dtype=np.uint32).astype(np.uint16).view(np.int16)


class GroupedIndex:
    """Clusters of targets, searched by products of matrices.

    An inverted file looks a query's nearest lists up for it alone, and reads them for it alone. When a whole inventory
    is asked about, other queries want the same lists: queries of one neighborhood are taken together, each list that
    any of them wants is multiplied once with all that want it, and each keeps its best. Scores that choose candidates
    are products with what is left of a vector without its centroid, in bf16 where the processor is fastest at that;
    candidates are scored again in fp32.

    Args:
        vectors: targets by list.
        setting: ``nprobe``, metric, precision and threads count.
    """

    def __init__(self, vectors: ClusteredVectors, setting: IndexSetting) -> None:
        self.vectors = vectors
        self.setting = setting.with_options(nlist=len(vectors.centroids)).with_width(setting.search_width)
        self._nprobe = self.setting.search_width
        self._kind = arithmetic(setting.options.precision)
        if self._kind is torch.bfloat16 and not len(vectors.residuals) and self.size:
            self._kind = torch.float32
        self._centroids = torch.from_numpy(np.array(vectors.centroids))
        compared = vectors.residuals if self._kind is torch.bfloat16 else vectors.vectors
        # Mapped arrays can't be written to, which PyTorch warns of; nothing here does.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            self._compared = torch.from_numpy(compared).view(self._kind)
        numbers = torch.from_numpy(NUMBERS.copy()).view(torch.bfloat16).float().numpy()
        self._gap = self._widest_gap()
        # Patterns of NaN never come up, and must not look large.
        self._numbers = np.where(np.isnan(numbers), -np.inf, numbers).astype(np.float32)

    @classmethod
    def build(cls, vectors: NDArray[np.float32], setting: IndexSetting, folder: Path | None = None) -> GroupedIndex:
        """Cluster targets; see :meth:`ClusteredVectors.build`."""
        return cls(ClusteredVectors.build(vectors, setting, _threads(setting), folder), setting)

    @classmethod
    def open(cls, folder: Path, setting: IndexSetting) -> GroupedIndex:
        """The index whose arrays a folder keeps, mapped."""
        return cls(ClusteredVectors.open(folder), setting)

    def write(self, folder: Path) -> None:
        """Keep the arrays in a folder, unless they are mapped from it."""
        self.vectors.write(folder)

    @property
    def size(self) -> int:
        """Number of targets."""
        return len(self.vectors.ids)

    @property
    def channels(self) -> int:
        """Channels of a vector."""
        return int(self.vectors.centroids.shape[1])

    def with_width(self, width: int) -> GroupedIndex:
        """The same targets, with so many clusters looked at for a query."""
        return GroupedIndex(self.vectors, self.setting.with_width(width))

    def search(self, queries: NDArray[np.float32], k: int) -> Neighbors:
        """The ``k`` targets of the largest scores, at most as many as there are.

        Args:
            queries: ``[queries, channels]``; the more at once, the faster each.
            k: targets wanted.

        Raises:
            DataError: queries and index differ in channels, or a query is not finite or has no direction.
        """
        if queries.shape[1] != self.channels:
            raise DataError(f"queries have {queries.shape[1]} channels and the index {self.channels}")
        k, threads = min(k, self.size), _threads(self.setting)
        queries = as_searched(self.setting.metric, queries, "queries")
        found = Neighbors(np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32))
        if not len(queries) or not k:
            return found
        nearest = nearest_lists(queries, self._centroids, False, Comparison(self._kind, threads))

        def search(rows: NDArray[np.int64]) -> None:
            part = self._search_group(queries[rows], nearest[rows], k)
            found.targets[rows], found.scores[rows] = part.targets, part.scores

        with one_core_each(threads) as pool:
            list(pool.map(search, self._groups(nearest)))
        return found

    def _widest_gap(self) -> np.float32:
        """How far behind the best a list may be for a query of length one; without end where all are looked at."""
        if self._nprobe >= len(self.vectors.centroids):
            return np.float32(np.inf)
        return np.float32(np.interp(self._nprobe, WIDTHS, self.vectors.gaps))

    def _groups(self, nearest: NDArray[np.int32]) -> Iterator[NDArray[np.int64]]:
        """Rows of queries in groups of one neighborhood, or of any where they are few.

        Args:
            nearest: list of each query.
        """
        lists = len(self.vectors.centroids)
        order = np.argsort(nearest, kind="stable")
        few = len(order) < 16 * lists
        ends = np.searchsorted(nearest[order], np.arange(lists), side="right")
        start = 0
        while start < len(order):
            last = lists if few else min(lists, int(nearest[order[start]]) + LISTS_OF_GROUP)
            stop = min(int(ends[last - 1]), start + GROUP)
            yield order[start:stop]
            start = stop

    def _around(self, own: NDArray[np.int32]) -> tuple[Tensor, NDArray[np.bool_]]:
        """Lists that queries choose from, which depend on their nearest list alone, and not on who else is asking.

        Args:
            own: nearest lists of a group's queries, each once.

        Returns:
            The lists of any of them, those that promise most first, and which are whose, ``[own, lists]``.
        """
        lists = len(self.vectors.centroids)
        count = lists if self._nprobe >= lists else min(lists, max(NEAR[0], NEAR[1] * self._nprobe))
        centers = self._centroids[torch.from_numpy(own).long()]
        lengths = centers.norm(dim=1).numpy()
        promised = promises((centers @ self._centroids.T).numpy(), lengths, self.vectors.spreads)
        theirs = torch.topk(torch.from_numpy(promised), count, dim=1).indices.numpy()
        whose = np.zeros(promised.shape, np.bool_)
        np.put_along_axis(whose, theirs, True, 1)
        chosen = np.flatnonzero(whose.any(0))
        chosen = chosen[np.argsort(-promised[:, chosen].mean(0), kind="stable")]
        return torch.from_numpy(chosen), whose[:, chosen]

    def _search_group(self, queries: NDArray[np.float32], nearest: NDArray[np.int32], k: int) -> Neighbors:
        """Search for queries together; ``nearest`` is the list of each."""
        values = torch.from_numpy(queries)
        own, inverse = np.unique(nearest, return_inverse=True)
        chosen, whose = self._around(own)
        # [queries, lists around them]
        coarse = (values @ self._centroids[chosen].T).numpy()
        lengths = np.linalg.norm(queries, axis=1).astype(np.float32)
        promised = promises(coarse, lengths, self.vectors.spreads[chosen.numpy()])
        promised[~whose[inverse]] = -np.inf
        # Whatever its gap, a query without length is as near to all lists.
        rows, starts = _by_list(
            promised, np.where(lengths > 0, self._gap * np.maximum(lengths, TINY), np.float32(np.inf))
        )
        half = k + max(SPARE, k // 2)
        kept = _Candidates.none(len(queries), 2 * half)
        tile = _Tile.of(values.to(self._kind))
        for column, cluster in enumerate(chosen.tolist()):
            asking = rows[starts[column] : starts[column + 1]]
            for first in range(0, len(asking), TILE[0]):
                some = asking[first : first + TILE[0]]
                self._scan(tile, cluster, some, coarse[some, column], kept)
        found = Neighbors(np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32))
        vectors, ids = self.vectors.vectors, self.vectors.ids
        score_again(queries, vectors, ids, kept.best, kept.positions, kept.counts, found.targets, found.scores)
        return found

    def _scan(
        self, tile: _Tile, cluster: int, rows: NDArray[np.int32], offsets: NDArray[np.float32], kept: _Candidates
    ) -> None:
        """Offer the targets of a list to some queries of a group."""
        asked = tile.take(rows)
        begin, end = (int(bound) for bound in self.vectors.bounds[cluster : cluster + 2])
        for first in range(begin, end, TILE[1]):
            stop = min(end, first + TILE[1])
            width = min(self.size, -(-(stop - first) // STEPS[1]) * STEPS[1])
            # Columns beyond the list's belong to other lists and are not looked at.
            start = min(first, self.size - width)
            scores = tile.multiply(asked, self._compared[start : start + width])
            columns = (first - start, stop - start)
            if self._kind is torch.bfloat16:
                scan_bf16(scores, rows, offsets, self._numbers, columns, start, *kept.arrays())
            else:
                scan_fp32(scores, rows, columns, start, *kept.arrays())


@dataclass(frozen=True)
class _Tile:
    """A group's queries, and room for some of them and their scores.

    Products come in few shapes, because the library that multiplies makes a program for each new one.

    Args:
        queries: of the group, ``[queries, channels]``.
        asked: ``[TILE[0], channels]``.
        products: ``[TILE[0] * TILE[1]]``.
        scores: the same memory for the kernels: float32 as it is, bf16 as the int16 of its bits.
    """

    queries: Tensor
    asked: Tensor
    products: Tensor
    scores: NDArray[Any]

    @classmethod
    def of(cls, queries: Tensor) -> _Tile:
        """Room for queries ``[queries, channels]``."""
        products = torch.empty(TILE[0] * TILE[1], dtype=queries.dtype)
        return cls(queries, torch.zeros(TILE[0], queries.shape[1], dtype=queries.dtype), products, as_scores(products))

    def take(self, rows: NDArray[np.int32]) -> Tensor:
        """Some queries, followed by others up to a whole step."""
        torch.index_select(self.queries, 0, torch.from_numpy(rows), out=self.asked[: len(rows)])
        return self.asked[: -(-len(rows) // STEPS[0]) * STEPS[0]]

    def multiply(self, asked: Tensor, targets: Tensor) -> NDArray[Any]:
        """Scores of queries with targets ``[queries, targets]``, which the next call overwrites."""
        shape = (len(asked), len(targets))
        size = shape[0] * shape[1]
        torch.mm(asked, targets.T, out=self.products[:size].view(shape))
        found: NDArray[Any] = self.scores[:size].reshape(shape)
        return found


@dataclass(frozen=True)
class _Candidates:
    """What each query of a group keeps: see :mod:`gnnscale.retrieval.index.grouped.grouped_kernels`."""

    best: NDArray[np.float32]
    positions: NDArray[np.int32]
    counts: NDArray[np.int32]
    limits: NDArray[np.float32]

    @classmethod
    def none(cls, queries: int, width: int) -> _Candidates:
        """Room for ``width`` candidates of each query."""
        return cls(
            np.empty((queries, width), np.float32),
            np.empty((queries, width), np.int32),
            np.zeros(queries, np.int32),
            np.full(queries, -np.inf, np.float32),
        )

    def arrays(self) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
        """In the order in which the kernels take them."""
        return self.best, self.positions, self.counts, self.limits


def _by_list(promised: NDArray[np.float32], gaps: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Which queries look at each list.

    Args:
        promised: see :func:`promises`, ``[queries, lists]``.
        gaps: how far behind the best a list may be, ``[queries]``.

    Returns:
        Rows of queries, by list, and where each list's begin, ``[lists + 1]``.
    """
    # Lists that are not a query's are out of reach of any gap.
    least = np.maximum(promised.max(1) - gaps, np.finfo(np.float32).min)
    starts = np.concatenate([[0], np.cumsum((promised >= least[:, None]).sum(0))])
    rows = np.empty(starts[-1], np.int32)
    list_queries(promised, least, starts[:-1].copy(), rows)
    return rows, starts


def _threads(setting: IndexSetting) -> int:
    return setting.threads or os.cpu_count() or 1
