"""Target vectors on a device: in bf16 to be compared, in fp32 to be scored."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.retrieval.index.gpu.compared import Compared, take_rows, width_for
from gnnscale.retrieval.index.gpu.equal_targets import EqualTargets, find_equal, hash_rows
from gnnscale.retrieval.index.metric import Metric, as_searched
from gnnscale.schema import ConfigError

log = logging.getLogger(__name__)

ROWS = 65_536
"""Vectors that are brought to the device at once."""
SHARE = 0.8
"""Of what is free on the device; the rest is for queries and candidates."""


@dataclass(frozen=True)
class DeviceTargets:
    """Target vectors, in random order and each once, so that any stretch of them is a sample of all, or in a given one.

    Args:
        compared: bf16 ``[vectors, width]`` on the device, with lengths.
        vectors: float32 ``[vectors, channels]``, on the device or in page-locked memory of the host.
        ids: of the target at each position, the smallest of those that have its vector, int32 ``[vectors]`` on the
            device.
        equal: targets of one vector; None where no two have the same.
    """

    compared: Compared
    vectors: Tensor
    ids: Tensor
    equal: EqualTargets | None = None

    @property
    def count(self) -> int:
        """Number of targets."""
        return len(self.ids) if self.equal is None else len(self.equal.members)

    @classmethod
    def build(
        cls,
        vectors: NDArray[np.float32],
        metric: Metric,
        device: torch.device,
        seed: int,
        placement: Literal["device", "pinned"] | None = None,
        order: NDArray[np.integer[Any]] | None = None,
    ) -> DeviceTargets:
        """Bring vectors to the device.

        Args:
            vectors: row i is target i, ``[targets, channels]``; may be mapped.
            metric: of the scores.
            device: that searches.
            seed: of the order.
            placement: of the fp32 vectors; None for the device where they fit.
            order: target at each position, ``[targets]``; equal vectors are then kept as often as they come.

        Raises:
            ConfigError: not even the bf16 vectors fit on the device.
            DataError: a vector is not finite, is too long, or has no direction where the metric needs one.
        """
        count, channels = vectors.shape
        if placement is None:
            placement = choose_placement(count, channels, free_bytes(device))
        compared = Compared.room(count, channels, metric is Metric.L2, device)
        if placement == "pinned" and device.type == "cuda":
            exact = torch.empty((count, channels), pin_memory=True)
        else:
            exact = torch.empty((count, channels), device=device)
        given, order = order, np.random.default_rng(seed).permutation(count) if order is None else order
        placed = np.empty(count, np.int64)
        placed[order] = np.arange(count)
        loss, hashes = 0.0, torch.empty(count, dtype=torch.int64, device=device)
        for start in range(0, count, ROWS):
            part = torch.from_numpy(np.array(as_searched(metric, vectors[start : start + ROWS], "target vectors")))
            positions, there = torch.from_numpy(placed[start : start + ROWS]), part.to(device)
            loss = max(loss, compared.put(positions.to(device), there))
            if given is None:
                hashes[start : start + ROWS] = hash_rows(there)
            exact[positions.to(exact.device)] = there if exact.device == there.device else part
        found = cls(replace(compared, loss=loss), exact, torch.from_numpy(order.astype(np.int32)).to(device))
        if given is None:
            found = found._without_equal(find_equal(hashes, exact, torch.from_numpy(placed).to(device)))
        numbers = count, len(found.ids), device, exact.device, loss
        log.debug("%d targets of %d vectors on %s, in fp32 on %s; bf16 loses up to %.2g", *numbers)
        return found

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Vectors of the targets from ``start`` up to ``stop`` in order of their ids, float32 ``[rows, channels]``."""
        position = self.ids.new_empty(self.count)
        position[self.ids.long()] = torch.arange(len(self.ids), dtype=position.dtype, device=position.device)
        if self.equal is not None:
            position = position[self.equal.first_of()]
        taken: NDArray[np.float32] = self.vectors[position[start:stop].to(self.vectors.device).long()].cpu().numpy()
        return taken

    def _without_equal(self, equal: EqualTargets | None) -> DeviceTargets:
        """These with every vector once."""
        if equal is None:
            return self
        kept = torch.isin(self.ids, equal.first).nonzero().ravel()
        compared = self.compared.take(kept)
        return DeviceTargets(compared, take_rows(self.vectors, kept), take_rows(self.ids, kept), equal)


def choose_placement(targets: int, channels: int, free: int) -> Literal["device", "pinned"]:
    """Where fp32 vectors go: on the device where they fit beside the bf16 ones, else in memory of the host.

    Args:
        targets, channels: of the vectors.
        free: bytes of the device.

    Raises:
        ConfigError: not even the bf16 vectors fit.
    """
    compared = targets * (2 * width_for(channels) + 12)
    if compared > free * SHARE:
        raise ConfigError(
            f"{targets:,} targets of {channels} channels take {compared / 1e9:.1f} GB in bf16, and the device has "
            f"{free / 1e9:.1f} GB free; take an index of another kind with retrieval.index.kind, or several shards "
            "with retrieval.index.shards"
        )
    return "device" if compared + 4 * targets * channels <= free * SHARE else "pinned"


def free_bytes(device: torch.device) -> int:
    """Memory that the device has free; where it is the host, no limit is set."""
    if device.type != "cuda":
        return 2**62
    # What torch keeps for its next tensors is free, too.
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + kept
