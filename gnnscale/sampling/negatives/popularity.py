"""Popularity of targets as exact integer weights, and how much of it is alive at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnscale.sampling.keys import mulhi
from gnnscale.schema import ConfigError, SchemaError
from gnnscale.store import NodeFeatures, quantise


class Popularity:
    """Chances of targets in proportion to ``(count + 1/2) ** power`` (word2vec, Mikolov et al., 2013: power 3/4).

    The half lets a target that was never seen be a negative. Weights are integers, see
    :func:`gnnscale.store.adjacency.quantise`, so that draws and chances are exact.

    Args:
        counts: how often each target occurs in the training period, ``[targets]``.
        power: 0 makes all targets equal.
        features: of the targets, to tell which are there at an anchor; default: all always are.

    Attributes:
        cumulative: uint64 ``[targets + 1]``, running sum of the weights from 0.
        guide: int32 ``[2 ** g + 1]``; random bits whose upper g are i draw a target from ``guide[i]`` to
            ``guide[i + 1]`` (the indexed search of Chen and Asau, 1974), so that a draw need not search all.

    Raises:
        ConfigError: a power under 0.
        SchemaError: no targets, or features of another number of nodes.
    """

    def __init__(self, counts: NDArray[np.int64], power: float, features: NodeFeatures | None = None) -> None:
        if not 0 <= power < np.inf:
            raise ConfigError(f"power of negatives is {power}; at least 0")
        if not len(counts):
            raise SchemaError("negatives need at least one target; counts are empty")
        if features is not None and len(features.times) != len(counts):
            raise SchemaError(f"counts are of {len(counts)} targets, features of {len(features.times)}")
        # Taken relative to the largest before the power, which would else pass what a float holds.
        share = ((counts + 0.5) / (counts.max() + 0.5)) ** power
        self.features = features
        self.cumulative = np.concatenate([np.zeros(1, np.uint64), np.cumsum(quantise(share, 1.0))])
        self.guide = _guide(self.cumulative)
        self._come: _Changes | None = None
        self._gone: _Changes | None = None
        if features is not None:
            self._come, self._gone = self._changes(features)

    def __len__(self) -> int:
        return len(self.cumulative) - 1

    @property
    def weights(self) -> NDArray[np.uint64]:
        """Of all targets, uint64 ``[targets]``."""
        return np.diff(self.cumulative)

    @property
    def log_share(self) -> NDArray[np.float32]:
        """Log of each target's chance among all, float32 ``[targets]``."""
        return np.log(self.weights / float(self.cumulative[-1])).astype(np.float32)

    def weight_of(self, nodes: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Weights of some targets, uint64, as ``nodes``."""
        return self.cumulative[nodes + 1] - self.cumulative[nodes]

    def is_valid_at(self, nodes: NDArray[np.int64], anchors: NDArray[np.int32] | int) -> NDArray[np.bool_]:
        """As :meth:`gnnscale.store.features.NodeFeatures.alive`."""
        if self.features is None:
            return np.ones(np.broadcast_shapes(nodes.shape, np.shape(anchors)), bool)
        return self.features.is_valid_at(nodes, anchors)

    def valid_weight(self, anchors: NDArray[np.int32]) -> NDArray[np.uint64]:
        """Weight of all targets that hold at each anchor, uint64 ``[batch]``."""
        if self._come is None:
            return np.full(len(anchors), self.cumulative[-1], np.uint64)
        weight = _until(self._come, anchors)
        return weight if self._gone is None else weight - _until(self._gone, anchors)

    def _changes(self, features: NodeFeatures) -> tuple[_Changes, _Changes | None]:
        """Weight that has come, and that has ended, by each time at which some does."""
        times, weights = np.asarray(features.times), self.weights
        if features.valid_until is None:
            return _changes(times, weights), None
        # What ends before it comes never holds.
        holds = times < features.valid_until
        weights = np.where(holds, weights, np.uint64(0))
        return _changes(times, weights), _changes(np.asarray(features.valid_until), weights)


def _guide(cumulative: NDArray[np.uint64]) -> NDArray[np.int32]:
    targets = len(cumulative) - 1
    size = max(1, (targets - 1).bit_length())
    first = np.arange(2**size, dtype=np.uint64) << np.uint64(64 - size)
    positions = mulhi(first, np.full(len(first), cumulative[-1], np.uint64))
    return np.append(np.searchsorted(cumulative, positions, side="right") - 1, targets - 1).astype(np.int32)


_Changes = tuple[NDArray[np.int32], NDArray[np.uint64]]
"""Distinct times ``[changes]``, ascending, and weight before the first and by each of them ``[changes + 1]``."""


def _changes(times: NDArray[np.int32], weights: NDArray[np.uint64]) -> _Changes:
    order = np.argsort(times, kind="stable")
    distinct, first = np.unique(times[order], return_index=True)
    running = np.concatenate([np.zeros(1, np.uint64), np.cumsum(weights[order])])
    return distinct, running[np.append(first, len(times))]


def _until(changes: _Changes, anchors: NDArray[np.int32]) -> NDArray[np.uint64]:
    times, weights = changes
    return weights[np.searchsorted(times, anchors, side="right")]
