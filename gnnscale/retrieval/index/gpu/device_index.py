"""Exact search on a device."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.arrays import create_array
from gnnscale.retrieval.index.gpu import plain
from gnnscale.retrieval.index.gpu.compared import Asked
from gnnscale.retrieval.index.gpu.device_search import DeviceSearch, find_device
from gnnscale.retrieval.index.gpu.device_targets import ROWS, DeviceTargets
from gnnscale.retrieval.index.gpu.ordered import NONE, best_of, ids_of, scores_of
from gnnscale.retrieval.index.gpu.plan import CELLS, MORE_ROOM, SearchPlan
from gnnscale.retrieval.index.neighbors import Neighbors
from gnnscale.retrieval.index.setting import IndexSetting

log = logging.getLogger(__name__)

FILE = "exact.npy"


class DeviceIndex(DeviceSearch):
    """Every target is compared in bf16; those that may be among the best are scored in fp32.

    A query's limit begins as the k-th best score of a sample of targets. A scan of a stretch of targets appends those
    that may reach the limit to the query's candidates, these are scored in fp32, and the k-th best of all so far is the
    limit of the next stretch. A limit is a score that k targets have, so it is never too high, and what bf16 may take
    off a score is allowed for (:class:`gnnscale.retrieval.index.gpu.compared.Compared`): the result is that of
    exact search in fp32, ties to the smaller id. Queries with more candidates than there is room for go round again
    with the limit that they found and more room, and at last have every target scored in fp32. Targets of equal vectors
    are searched as one.

    Args:
        targets: on the device.
        setting: what it was built by.
        plan: sizes of the pieces.

    Raises:
        ConfigError: Triton's kernels are asked for and don't run on the device.
    """

    @classmethod
    def build(
        cls,
        vectors: NDArray[np.float32],
        setting: IndexSetting,
        device: torch.device | None = None,
        plan: SearchPlan | None = None,
    ) -> DeviceIndex:
        """Bring target vectors to a device.

        Args:
            vectors: row i is target i, ``[targets, channels]``; may be mapped.
            setting: metric, device and seed count.
            device: that searches; None for the setting's.
            plan: sizes of the pieces.

        Raises:
            ConfigError: there is no such device, or it has too little memory.
            DataError: a vector is not finite, is too long, or has no direction where the metric needs one.
        """
        device = find_device(setting) if device is None else device
        return cls(DeviceTargets.build(vectors, setting.metric, device, setting.seed), setting, plan)

    @property
    def vectors(self) -> int:
        """Number of different vectors that they have."""
        return len(self.targets.ids)

    def with_width(self, width: int) -> DeviceIndex:
        """The same index: exact search has one width."""
        return self

    def search(self, queries: NDArray[np.float32], k: int) -> Neighbors:
        """The ``k`` targets of the largest scores, at most as many as there are, equal scores by id.

        Args:
            queries: ``[queries, channels]``; thousands at once, for speed.
            k: targets wanted.

        Raises:
            DataError: queries and index differ in channels, or a query is not finite, is too long or has no direction.
        """
        queries = self._as_asked(queries)
        k = min(k, self.size)
        found = Neighbors(np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32))
        if not k:
            return found
        most = min(k, self.vectors)
        step = self.plan.together(most, self.vectors)
        for start in range(0, len(queries), step):
            rows = slice(start, start + step)
            asked = self.targets.compared.ask(torch.from_numpy(np.array(queries[rows])).to(self.device))
            keys = self._search(asked, most)
            if self.targets.equal is not None:
                keys = self.targets.equal.expand(keys, k)
            found.targets[rows], found.scores[rows] = ids_of(keys).cpu().numpy(), scores_of(keys).cpu().numpy()
        return found

    def write(self, folder: Path) -> None:
        """Keep the vectors in a file of NumPy's, in order of their ids."""
        kept = create_array(folder / FILE, np.float32, (self.size, self.channels))
        for start in range(0, self.size, ROWS):
            kept[start : start + ROWS] = self.targets.read(start, start + ROWS)
        kept.flush()

    @classmethod
    def open(cls, folder: Path, setting: IndexSetting) -> DeviceIndex:
        """The index that :meth:`write` kept, on the setting's device."""
        return cls.build(np.load(folder / FILE, mmap_mode="r"), setting)

    def _search(self, asked: Asked, k: int) -> Tensor:
        """Keys of the best targets of some queries, descending, int64 ``[queries, k]``."""
        size, plan = self.vectors, self.plan
        room = plan.room(k, size)
        best, full = self._collect(asked, self._first_limits(asked, k), k, room, plan.stretches(k, size))
        left = full.nonzero().ravel()
        if len(left):
            log.debug("%d of %d queries have over %d candidates in a stretch", len(left), len(full), room)
        room = min(size, MORE_ROOM * room)
        step = max(1, CELLS // room)
        for start in range(0, len(left), step):
            rows = left[start : start + step]
            some = asked.take(rows)
            again, full = self._collect(some, scores_of(best[rows, -1]), k, room, [(0, size)])
            if len(worst := full.nonzero().ravel()):
                log.debug("%d queries have over %d candidates; all targets are scored", len(worst), room)
                again[worst] = self._best_of_all(some.take(worst), k, 0, size)
            best[rows] = again
        return best

    def _first_limits(self, asked: Asked, k: int) -> Tensor:
        """Scores that k of the first targets have, float32 ``[queries]``."""
        sample = slice(0, self.plan.sampled(k, self.vectors))
        positions = plain.products(asked.values.float(), self.targets.compared, sample).topk(k, dim=1).indices.int()
        counts = torch.full((len(positions),), k, dtype=torch.int32, device=self.device)
        return self._score_positions(asked, positions, counts).amin(1)

    def _collect(
        self, asked: Asked, least: Tensor, k: int, room: int, stretches: list[tuple[int, int]]
    ) -> tuple[Tensor, Tensor]:
        """Scan stretches of targets one after the other.

        Args:
            asked: queries.
            least: scores that k targets of each query have, float32 ``[queries]``.
            k: targets wanted.
            room: candidates of a stretch.
            stretches: first position, and the position after the last.

        Returns:
            Keys of the best that were found, ``[queries, k]``, and which queries had more candidates than room.
        """
        count = len(asked.vectors)
        best = torch.full((count, k), NONE, dtype=torch.int64, device=self.device)
        full = torch.zeros(count, dtype=torch.bool, device=self.device)
        positions = torch.empty((count, room), dtype=torch.int32, device=self.device)
        for start, stop in stretches:
            counts = torch.zeros(count, dtype=torch.int32, device=self.device)
            self._scan(asked, asked.limits(least), self.targets.compared, start, stop, counts, positions)
            full |= counts > room
            best = best_of(best, self._keys(asked, positions, counts))
            least = torch.maximum(least, scores_of(best[:, -1]))
        return best, full
