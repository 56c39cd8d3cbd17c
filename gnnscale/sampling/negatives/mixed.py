"""Negatives of which some are positives of the batch, and the others uniform (Yang et al., WWW 2020)."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np

from gnnscale.config import Positive, Section, Share
from gnnscale.sampling.keys import draw, mulhi, stream_key
from gnnscale.sampling.negatives.popularity import Popularity
from gnnscale.sampling.negatives.request import NegativeRequest, Negatives
from gnnscale.sampling.negatives.shared import hold_for
from gnnscale.sampling.negatives.strategy import TargetSource
from gnnscale.schema import NEGATIVES, SchemaError


class MixedOptions(Section):
    """Of mixed negatives.

    Args:
        number: negatives a batch.
        in_batch: share of them that are positives of the batch.
    """

    number: Positive = 1024
    in_batch: Share = 0.5


@NEGATIVES.register("mixed")
class MixedNegatives:
    """So many for the whole global batch: each slot holds a positive of the batch, or any target.

    A function of (seed, epoch, step, slot) and of the global batch, so that all workers have the same. The share of a
    target is that of the mixture, which both kinds are corrected by.

    Args:
        popularity: of the targets to the power of 1, how often each is among the positives of a batch.
        options: number and mixture.
        seed: of the run.
        backend: of the look-up of known positives, ``numba`` or ``numpy``.

    Attributes:
        in_batch: share of the negatives that are positives of the batch.
    """

    Options: ClassVar[type[Section]] = MixedOptions
    needs_walks: ClassVar[bool] = False
    per_batch: ClassVar[bool] = True

    def __init__(self, popularity: Popularity, options: MixedOptions, seed: int = 0, backend: str = "numba") -> None:
        self.popularity, self.number, self.seed, self.backend = popularity, options.number, seed, backend
        self.own = round(options.number * options.in_batch)
        self.in_batch = self.own / options.number
        mixture = self.in_batch * np.exp(popularity.log_share.astype(np.float64)) + (1 - self.in_batch) / len(
            popularity
        )
        self._log_share = np.log(mixture).astype(np.float32)

    @classmethod
    def build(cls, options: MixedOptions, source: TargetSource) -> Self:
        """The sampler for some targets."""
        return cls(source.popularity(1.0), options, source.seed, source.backend)

    def sample(self, request: NegativeRequest) -> Negatives:
        """Negatives int64 ``[number]``, those of the batch first, repeats allowed; present bool ``[batch, number]``.

        Raises:
            SchemaError: the request has no positives, or a known one is no target.
        """
        positives = request.positives if request.batch_positives is None else request.batch_positives
        if positives is None:
            raise SchemaError("mixed negatives are made of positives; the request has none")
        key = stream_key(self.seed, request.epoch, f"negatives/{request.step}")
        slots = np.arange(self.number, dtype=np.uint64)
        bits = draw(np.full(self.number, key, np.uint64), slots)
        own = self.own if len(positives) else 0
        bound = np.where(slots < own, len(positives), len(self.popularity)).astype(np.uint64)
        nodes = mulhi(bits, bound).astype(np.int64)
        nodes[:own] = positives[nodes[:own]]
        return Negatives(nodes, hold_for(request, nodes, self.popularity, self.backend), self._log_share[nodes])
