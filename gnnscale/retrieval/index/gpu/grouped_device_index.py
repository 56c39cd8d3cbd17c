"""The grouped index on a device: every cluster is scanned once, for all queries that look at it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.arrays import create_array
from gnnscale.retrieval.index.gpu import plain
from gnnscale.retrieval.index.gpu.compared import Asked
from gnnscale.retrieval.index.gpu.device_search import DeviceSearch, find_device
from gnnscale.retrieval.index.gpu.device_targets import ROWS, DeviceTargets, free_bytes
from gnnscale.retrieval.index.gpu.ordered import NONE, best_of, ids_of, scores_of
from gnnscale.retrieval.index.gpu.plan import CELLS, MORE_ROOM, SearchPlan
from gnnscale.retrieval.index.grouped.grouped_index import NEAR
from gnnscale.retrieval.index.grouped.lists import (
    SMALL,
    WIDENING,
    ClusteredVectors,
    SearchedVectors,
    divide,
    find_gaps,
)
from gnnscale.retrieval.index.grouped.products import Comparison
from gnnscale.retrieval.index.metric import Metric
from gnnscale.retrieval.index.neighbors import Neighbors
from gnnscale.retrieval.index.setting import WIDTHS, IndexSetting

TOGETHER = 1 << 20
"""Most queries whose clusters are scanned together: they share what a cluster costs by itself."""
LEAST_TOGETHER = 1024
SHARE = 0.25
"""Of what is free on the device: what queries, their clusters and what they have found may take."""


@dataclass(frozen=True)
class DeviceClusters:
    """Where each cluster's targets are, and what it promises; see :class:`ClusteredVectors`.

    Args:
        centroids: float32 ``[clusters, channels]``, on the device.
        spreads: float32 ``[clusters]``, on the device.
        bounds: positions of each cluster, int64 ``[clusters + 1]``.
        gaps: float32, of each of ``WIDTHS``.
    """

    centroids: Tensor
    spreads: Tensor
    bounds: NDArray[np.int64]
    gaps: NDArray[np.float32]

    def __len__(self) -> int:
        """Number of clusters."""
        return len(self.centroids)


class GroupedDeviceIndex(DeviceSearch):
    """Clusters of targets on a device, each of which is scanned once for all queries that look at it.

    A query looks at the clusters that promise nearly as much as its best one, as in
    :class:`~gnnscale.retrieval.index.grouped.grouped_index.GroupedIndex`, whose files these are too; of those there,
    that chooses among the ones around the nearest, and this among all, and takes no more than that chooses from. Within
    them the search is exact in fp32, as that of :class:`~gnnscale.retrieval.index.gpu.device_index.DeviceIndex`: a
    query's limit begins as the k-th best score of some targets of the cluster that promises most, what may reach it in
    bf16 is scored in fp32, and a query with more candidates in a cluster than there is room for goes round again with
    the limit that it has found and more room, and at last has every target of it scored.

    Args:
        targets: on the device, in order of their clusters.
        clusters: of the targets.
        setting: ``nprobe`` and metric count.
        plan: sizes of the pieces.

    Raises:
        ConfigError: Triton's kernels are asked for and don't run on the device.
    """

    def __init__(
        self, targets: DeviceTargets, clusters: DeviceClusters, setting: IndexSetting, plan: SearchPlan | None = None
    ) -> None:
        # Large clusters are divided, so that there may be more of them than the setting asked for.
        setting = setting.with_options(nlist=len(clusters)).with_width(setting.search_width)
        super().__init__(targets, setting, plan)
        self.clusters = clusters

    @classmethod
    def build(
        cls,
        vectors: NDArray[np.float32],
        setting: IndexSetting,
        device: torch.device | None = None,
        plan: SearchPlan | None = None,
    ) -> GroupedDeviceIndex:
        """Cluster targets on a device.

        Args:
            vectors: row i is target i, ``[targets, channels]``; may be mapped.
            setting: number of clusters, metric, device and seed count.
            device: that clusters and searches; None for the setting's.
            plan: sizes of the pieces.

        Raises:
            ConfigError: there is no such device, or it has too little memory.
            DataError: a vector is not finite, is too long, or has no direction where the metric needs one.
        """
        device = find_device(setting) if device is None else device
        searched, threads = SearchedVectors(vectors, setting.metric), setting.threads or os.cpu_count() or 1
        by = Comparison(torch.float32, threads, device)
        centroids, members = divide(searched, min(setting.options.nlist, len(vectors)), by, setting.seed)
        order = np.argsort(members, kind="stable")
        sizes = np.bincount(members, minlength=len(centroids))
        targets = DeviceTargets.build(vectors, setting.metric, device, setting.seed, order=order)
        there = torch.from_numpy(centroids).to(device)
        spreads = _spreads(targets, there, torch.from_numpy(sizes).to(device))
        gaps = find_gaps(searched, centroids, spreads.cpu().numpy(), setting.seed, threads)
        bounds = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        return cls(targets, DeviceClusters(there, spreads, bounds, gaps), setting, plan)

    @classmethod
    def open(
        cls,
        folder: Path,
        setting: IndexSetting,
        device: torch.device | None = None,
        plan: SearchPlan | None = None,
    ) -> GroupedDeviceIndex:
        """The index that :meth:`write`, or that of the host's form, kept, on a device."""
        device = find_device(setting) if device is None else device
        kept = ClusteredVectors.open(folder)
        # They are in the form of the metric, and in order.
        targets = DeviceTargets.build(
            kept.vectors, Metric.INNER_PRODUCT, device, setting.seed, order=np.arange(len(kept.ids))
        )
        targets = replace(targets, ids=torch.from_numpy(np.array(kept.ids)).to(device))
        centroids, spreads = (torch.from_numpy(np.array(one)).to(device) for one in (kept.centroids, kept.spreads))
        clusters = DeviceClusters(centroids, spreads, np.array(kept.bounds), np.array(kept.gaps))
        return cls(targets, clusters, setting, plan)

    def write(self, folder: Path) -> None:
        """Keep the arrays of :class:`ClusteredVectors`, for a device or the host."""
        kept = create_array(folder / "vectors.npy", np.float32, (self.size, self.channels))
        for start in range(0, self.size, ROWS):
            kept[start : start + ROWS] = self.targets.vectors[start : start + ROWS].cpu().numpy()
        kept.flush()
        own, ids = self.clusters, self.targets.ids.cpu().numpy()
        centroids, spreads = own.centroids.cpu().numpy(), own.spreads.cpu().numpy()
        small: tuple[NDArray[Any], ...] = centroids, own.bounds, ids, spreads, own.gaps
        for name, array in zip(SMALL, small, strict=True):
            np.save(folder / f"{name}.npy", array)
        np.save(folder / "residuals.npy", np.empty((0, self.channels), np.int16))

    def with_width(self, width: int) -> GroupedDeviceIndex:
        """The same targets, with so many clusters looked at for a query."""
        return GroupedDeviceIndex(self.targets, self.clusters, self.setting.with_width(width), self.plan)

    def search(self, queries: NDArray[np.float32], k: int) -> Neighbors:
        """The ``k`` targets of the largest scores, at most as many as there are; -1 and minus infinity where the
        clusters that a query looks at have fewer.

        Args:
            queries: ``[queries, channels]``; the more at once, the faster each.
            k: targets wanted.

        Raises:
            DataError: queries and index differ in channels, or a query is not finite, is too long or has no direction.
        """
        queries = self._as_asked(queries)
        k = min(k, self.size)
        found = Neighbors(np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32))
        step = self._together(k)
        for start in range(0, len(queries) if k else 0, step):
            rows = slice(start, start + step)
            asked = self.targets.compared.ask(torch.from_numpy(np.array(queries[rows])).to(self.device))
            keys = self._search(asked, k)
            found.targets[rows], found.scores[rows] = ids_of(keys).cpu().numpy(), scores_of(keys).cpu().numpy()
        return found

    def _together(self, k: int) -> int:
        """Queries that the device has room for at once."""
        # Vectors in both forms and, for a while, twice in double precision; keys, and a pair with each cluster, sorted.
        each = 24 * self.channels + 32 * k + 64 * min(len(self.clusters), self._most_looked_at())
        return int(min(TOGETHER, max(LEAST_TOGETHER, SHARE * free_bytes(self.device) // each)))

    def _most_looked_at(self) -> int:
        """Clusters of one query: all, or what the host's form chooses from."""
        width = self.setting.search_width
        return len(self.clusters) if width >= len(self.clusters) else max(NEAR[0], NEAR[1] * width)

    def _search(self, asked: Asked, k: int) -> Tensor:
        """Keys of the best targets of some queries, descending, int64 ``[queries, k]``."""
        queries, lists, nearest = self._looked_at(asked)
        least = self._first_limits(asked, nearest, k)
        best = torch.full((len(nearest), k), NONE, dtype=torch.int64, device=self.device)
        for cluster, rows in _by_list(lists, queries, len(self.clusters)):
            start, stop = (int(bound) for bound in self.clusters.bounds[cluster : cluster + 2])
            if start == stop:
                continue
            step = max(1, CELLS // max(min(stop - start, plain.PIECE), MORE_ROOM * self.plan.room(k, stop - start)))
            for first in range(0, len(rows), step):
                some = rows[first : first + step]
                best[some] = best_of(best[some], self._scan_cluster(asked.take(some), least[some], k, start, stop))
                least[some] = torch.maximum(least[some], scores_of(best[some, -1]))
        return best

    def _looked_at(self, asked: Asked) -> tuple[Tensor, Tensor, Tensor]:
        """Which clusters each query looks at.

        Returns:
            Queries and their clusters, in pairs, and each query's cluster that promises most.
        """
        clusters = self.clusters
        every, most = self.setting.search_width >= len(clusters), min(len(clusters), self._most_looked_at())
        gap = float(np.interp(self.setting.search_width, WIDTHS, clusters.gaps))
        queries, lists, nearest = [], [], []
        step = max(1, CELLS // len(clusters))
        for start in range(0, len(asked.vectors), step):
            part = asked.vectors[start : start + step]
            lengths = part.norm(dim=1)
            promised = part @ clusters.centroids.T + WIDENING * lengths[:, None] * clusters.spreads
            nearest.append(promised.argmax(1))
            # Whatever its gap, a query without length is as near to all clusters.
            behind = torch.where(lengths > 0, gap * lengths.clamp(min=torch.finfo(torch.float32).tiny), torch.inf)
            chosen = promised >= (promised.amax(1) - behind)[:, None]
            if every:
                chosen = torch.ones_like(chosen)
            elif len(many := (chosen.sum(1) > most).nonzero().ravel()):
                chosen[many] = False
                chosen[many] = chosen[many].scatter(1, promised[many].topk(most, dim=1).indices, True)
            row, column = chosen.nonzero(as_tuple=True)
            queries.append(row + start)
            lists.append(column)
        return torch.cat(queries), torch.cat(lists), torch.cat(nearest)

    def _first_limits(self, asked: Asked, nearest: Tensor, k: int) -> Tensor:
        """Scores that k targets of the cluster which promises most have, float32 ``[queries]``."""
        least = torch.full((len(nearest),), -torch.inf, device=self.device)
        everyone = torch.arange(len(nearest), device=self.device)
        for cluster, rows in _by_list(nearest, everyone, len(self.clusters)):
            start, stop = (int(bound) for bound in self.clusters.bounds[cluster : cluster + 2])
            sample = slice(start, min(stop, start + max(self.plan.sample // 16, 16 * k)))
            if sample.stop - start < k:
                continue
            step = max(1, CELLS // (sample.stop - start))
            for first in range(0, len(rows), step):
                some = rows[first : first + step]
                part = asked.take(some)
                scores = plain.products(part.values.float(), self.targets.compared, sample)
                positions = (scores.topk(k, dim=1).indices + start).int()
                counts = torch.full((len(some),), k, dtype=torch.int32, device=self.device)
                least[some] = self._score_positions(part, positions, counts).amin(1)
        return least

    def _scan_cluster(self, asked: Asked, least: Tensor, k: int, start: int, stop: int) -> Tensor:
        """Keys of a cluster's targets, int64 ``[queries, room]``: each query's k best that reach its limit, and more.

        Args:
            asked: queries that look at the cluster.
            least: scores that k targets of each query have, float32 ``[queries]``.
            k: targets wanted.
            start, stop: positions of the cluster.
        """
        room = self.plan.room(k, stop - start)
        keys, full = self._candidates(asked, least, room, start, stop)
        if len(full):
            # As many targets as there is room for have such scores, so that the k-th best of them is a limit.
            some = asked.take(full)
            found = scores_of(keys[full].topk(min(k, room), dim=1).values[:, -1])
            wider, fuller = self._candidates(
                some, torch.maximum(least[full], found), min(stop - start, MORE_ROOM * room), start, stop
            )
            best = wider.topk(room, dim=1).values
            if len(fuller):
                best[fuller] = self._best_of_all(some.take(fuller), room, start, stop)
            keys[full] = best
        return keys

    def _candidates(self, asked: Asked, least: Tensor, room: int, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Keys of the targets between two positions that may reach a limit, int64 ``[queries, room]``, and rows of the
        queries that have more of them.
        """
        counts = torch.zeros(len(least), dtype=torch.int32, device=self.device)
        positions = torch.empty((len(least), room), dtype=torch.int32, device=self.device)
        self._scan(asked, asked.limits(least), self.targets.compared, start, stop, counts, positions)
        return self._keys(asked, positions, counts.clamp(max=room)), (counts > room).nonzero().ravel()


def _spreads(targets: DeviceTargets, centroids: Tensor, sizes: Tensor) -> Tensor:
    """Root mean square length of each cluster's vectors less the centroid, float32 ``[clusters]``."""
    squares = torch.zeros(len(sizes), dtype=torch.float64, device=sizes.device)
    members = torch.repeat_interleave(torch.arange(len(sizes), device=sizes.device), sizes)
    for start in range(0, len(members), ROWS):
        own = members[start : start + ROWS]
        rest = targets.vectors[start : start + ROWS].to(own.device) - centroids[own]
        squares.index_add_(0, own, rest.double().square().sum(1))
    return (squares / sizes.clamp(min=1)).sqrt().float()


def _by_list(lists: Tensor, queries: Tensor, count: int) -> Iterator[tuple[int, Tensor]]:
    """Each list that somebody looks at, and who does.

    Args:
        lists: int64 ``[pairs]``.
        queries: int64 ``[pairs]``.
        count: of lists.
    """
    order = torch.argsort(lists, stable=True)
    queries = queries[order]
    ends = torch.bincount(lists, minlength=count).cumsum(0).tolist()
    start = 0
    for number, end in enumerate(ends):
        if end > start:
            yield number, queries[start:end]
        start = end
