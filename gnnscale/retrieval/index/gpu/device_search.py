"""What searches on a device have in common: targets there, what scans them, and scores in fp32."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.retrieval.index.gpu import plain
from gnnscale.retrieval.index.gpu.compared import Asked
from gnnscale.retrieval.index.gpu.device_targets import DeviceTargets
from gnnscale.retrieval.index.gpu.ordered import NONE, as_keys, best_of
from gnnscale.retrieval.index.gpu.plan import CELLS, SearchPlan
from gnnscale.retrieval.index.metric import Metric, as_searched
from gnnscale.retrieval.index.setting import IndexSetting
from gnnscale.schema import ConfigError, DataError


class DeviceSearch:
    """Targets on a device that are compared in bf16, and scored in fp32 where they may be among the best.

    Args:
        targets: on the device.
        setting: what it was built by.
        plan: sizes of the pieces.

    Raises:
        ConfigError: Triton's kernels are asked for and don't run on the device.
    """

    def __init__(self, targets: DeviceTargets, setting: IndexSetting, plan: SearchPlan | None = None) -> None:
        self.targets, self.setting, self.plan = targets, setting, plan or SearchPlan()
        self.device = targets.ids.device
        self._scan, self._score = plain.scan, plain.score
        if self.plan.fused if self.plan.fused is not None else self.device.type == "cuda" and _has_triton():
            self._take_kernels()

    @property
    def size(self) -> int:
        """Number of targets."""
        return self.targets.count

    @property
    def channels(self) -> int:
        """Channels of a vector."""
        return int(self.targets.vectors.shape[1])

    def _as_asked(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """Queries in the form of the metric.

        Raises:
            DataError: queries and index differ in channels, or a query is not finite or has no direction.
        """
        if queries.shape[1] != self.channels:
            raise DataError(f"queries have {queries.shape[1]} channels and the index {self.channels}")
        return as_searched(self.setting.metric, queries, "queries")

    def _best_of_all(self, asked: Asked, most: int, start: int, stop: int) -> Tensor:
        """Keys of the best targets between two positions, every one scored in fp32, int64 ``[queries, most]``."""
        count = len(asked.vectors)
        best = torch.full((count, most), NONE, dtype=torch.int64, device=self.device)
        step = max(1, CELLS // (8 * count))
        for first in range(start, stop, step):
            piece = torch.arange(first, min(stop, first + step), dtype=torch.int32, device=self.device)
            counts = torch.full((count,), len(piece), dtype=torch.int32, device=self.device)
            best = best_of(best, self._keys(asked, piece.expand(count, -1), counts))
        return best

    def _keys(self, asked: Asked, positions: Tensor, counts: Tensor) -> Tensor:
        """Candidates as keys, int64 ``[queries, width]``; see :meth:`_score_positions`."""
        scores = self._score_positions(asked, positions, counts)
        meant = torch.arange(positions.shape[1], device=self.device) < counts[:, None]
        ids = self.targets.ids[torch.where(meant, positions, 0)].long()
        return as_keys(scores, torch.where(meant, ids, -1))

    def _score_positions(self, asked: Asked, positions: Tensor, counts: Tensor) -> Tensor:
        """Scores in fp32 of the targets at positions ``[queries, width]``, of which ``counts`` a row are meant."""
        euclidean = self.setting.metric is Metric.L2
        return self._score(asked.vectors, self.targets.vectors, positions, counts, euclidean)

    def _take_kernels(self) -> None:
        if not _has_triton():
            raise ConfigError("a fused search needs triton; install it with: pip install 'gnnscale[gpu]'")
        from gnnscale.retrieval.index.gpu import fused

        if self.device.type != "cuda" and not fused.is_interpreted():
            raise ConfigError(f"a fused search needs a CUDA device, not {self.device}; leave fused out")
        self._scan, self._score = fused.scan, fused.score


def find_device(setting: IndexSetting) -> torch.device:
    """The device that a setting names.

    Raises:
        ConfigError: it is not there.
    """
    device = torch.device(setting.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "an index on cuda needs a CUDA device, and torch sees none; set retrieval.index.device=cpu, or "
            "run where there is a GPU and a torch that is built for CUDA"
        )
    return device


def _has_triton() -> bool:
    return find_spec("triton") is not None
