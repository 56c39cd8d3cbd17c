"""Negatives that a whole global batch shares: one set, scored once for all examples."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gnnscale.config import Section
from gnnscale.sampling.keys import draw, mulhi, stream_key
from gnnscale.sampling.negatives.popular import PopularOptions
from gnnscale.sampling.negatives.popularity import Popularity
from gnnscale.sampling.negatives.request import NegativeRequest, Negatives
from gnnscale.sampling.negatives.strategy import TargetSource
from gnnscale.schema import NEGATIVES


class NegativeSampler:
    """Negatives shared by a global batch, drawn with replacement by popularity to a power.

    Args:
        counts: how often each target occurs in the training period, ``[targets]``.
        power: exponent of the popularity; 0 is uniform.
        seed: of the run.

    Attributes:
        log_share: log of the chance that one draw takes each target, float32 ``[targets]``.
    """

    def __init__(self, counts: NDArray[np.int64], power: float, seed: int) -> None:
        self._popularity = Popularity(counts, power)
        self.log_share = self._popularity.log_share
        self.seed = seed

    def sample(self, number: int, epoch: int, step: int) -> NDArray[np.int64]:
        """Node ids, int64 ``[number]``; the same on every worker."""
        return draw_shared(self._popularity, number, self.seed, epoch, step)


@NEGATIVES.register("shared")
class SharedNegatives:
    """A set of negatives for the whole global batch, and which of them hold for which example.

    A function of (seed, epoch, step, slot) alone, so that all workers draw the same set whatever part of the batch they
    hold. What one example may not have another may: nothing is drawn anew, and ``present`` tells.

    Args:
        popularity: of the targets.
        number: negatives a batch.
        seed: of the run.
        backend: of the look-up of known positives, ``numba`` or ``numpy``.
    """

    Options: ClassVar[type[Section]] = PopularOptions
    needs_walks: ClassVar[bool] = False
    per_batch: ClassVar[bool] = True

    def __init__(self, popularity: Popularity, number: int, seed: int = 0, backend: str = "numba") -> None:
        self.popularity, self.number, self.seed, self.backend = popularity, number, seed, backend
        self._log_share = popularity.log_share

    @classmethod
    def build(cls, options: PopularOptions, source: TargetSource) -> Self:
        """The sampler of some options; their number is a batch's."""
        return cls(source.popularity(options.power), options.number, source.seed, source.backend)

    def sample(self, request: NegativeRequest) -> Negatives:
        """Negatives int64 ``[number]``, repeats allowed; present bool ``[batch, number]``.

        Raises:
            SchemaError: a known positive is no target.
        """
        nodes = draw_shared(self.popularity, self.number, self.seed, request.epoch, request.step)
        return Negatives(nodes, hold_for(request, nodes, self.popularity, self.backend), self._log_share[nodes])


def draw_shared(popularity: Popularity, number: int, seed: int, epoch: int, step: int) -> NDArray[np.int64]:
    """Targets by popularity among all, int64 ``[number]``; more of them begin as fewer do."""
    key = stream_key(seed, epoch, f"negatives/{step}")
    bits = draw(np.full(number, key, np.uint64), np.arange(number, dtype=np.uint64))
    place = mulhi(bits, np.full(number, popularity.cumulative[-1], np.uint64))
    return (np.searchsorted(popularity.cumulative, place, side="right") - 1).astype(np.int64)


def hold_for(
    request: NegativeRequest, nodes: NDArray[np.int64], popularity: Popularity, backend: str
) -> NDArray[np.bool_]:
    """Which shared nodes are alive at the anchor and no known positives of each example, bool ``[batch, number]``.

    Raises:
        SchemaError: a known positive is no target.
    """
    request.known.check_targets(len(popularity))
    each = np.ascontiguousarray(np.broadcast_to(nodes, (len(request), len(nodes))))
    known = request.known.hold(request.entities, each, backend)
    return popularity.is_valid_at(nodes, request.anchors[:, None]) & ~known
