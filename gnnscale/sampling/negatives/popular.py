"""Negatives of each example apart, by popularity to a power."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import share_rows
from gnnscale.config import Positive, Section
from gnnscale.sampling.keys import UInt64, draw, example_keys, stream_key
from gnnscale.sampling.negatives import numba_draws as draws_compiled
from gnnscale.sampling.negatives import numpy_draws as draws_reference
from gnnscale.sampling.negatives.allowed import AllowedTargets, allowed_weight
from gnnscale.sampling.negatives.known import KnownPositives
from gnnscale.sampling.negatives.numpy_draws import REDRAWS, UNSETTLED, slot_keys
from gnnscale.sampling.negatives.popularity import Popularity
from gnnscale.sampling.negatives.request import NegativeRequest, Negatives
from gnnscale.sampling.negatives.strategy import TargetSource
from gnnscale.schema import NEGATIVES

BACKENDS = {"numba": draws_compiled.fill_negatives, "numpy": draws_reference.fill_negatives}

RARE = np.uint64(8)
"""Where less than one draw in so many would be allowed, slots are settled at once."""


class UniformOptions(Section):
    """Of negatives that are all as likely.

    Args:
        number: negatives an example.
    """

    number: Positive = 1024


class PopularOptions(UniformOptions):
    """Of negatives by popularity.

    Args:
        number: negatives an example.
        power: of the popularity; 0 is uniform.
    """

    power: float = 0.75


@NEGATIVES.register("popularity")
class PopularNegatives:
    """Targets by popularity, with replacement, among those that each example may have; uniform where the power is 0.

    A function of (seed, epoch, example, slot) alone. The law is exactly popularity among the targets that are alive at
    the anchor and no known positives: redraws keep it, and what settles a slot after ``REDRAWS`` of them follows it.

    Args:
        popularity: of the targets.
        number: negatives an example.
        seed: of the run.
        backend: ``numba``, or ``numpy`` for the reference.
        threads: that share the examples.
    """

    Options: ClassVar[type[Section]] = PopularOptions
    needs_walks: ClassVar[bool] = False
    per_batch: ClassVar[bool] = False

    def __init__(
        self, popularity: Popularity, number: int, seed: int = 0, backend: str = "numba", threads: int = 1
    ) -> None:
        self.popularity, self.number, self.seed = popularity, number, seed
        self.backend, self.threads = backend, threads

    @classmethod
    def build(cls, options: PopularOptions, source: TargetSource) -> Self:
        """The sampler of some options."""
        popularity = source.popularity(options.power)
        return cls(popularity, options.number, source.seed, source.backend, source.threads)

    def sample(self, request: NegativeRequest) -> Negatives:
        """Negatives int64 ``[batch, number]``; -1 in all slots of an example where no target is allowed.

        Raises:
            SchemaError: a known positive is no target.
        """
        request.known.check_targets(len(self.popularity))
        keys = example_keys(stream_key(self.seed, request.epoch, "negatives/popular"), request.identities)
        which = request.known, request.entities, request.anchors
        nodes, log_share = draw_negatives(self.popularity, *which, keys, self.number, self.backend, self.threads)
        return Negatives(nodes, nodes >= 0, log_share)


@NEGATIVES.register("uniform")
class UniformNegatives(PopularNegatives):
    """Targets that are all as likely, among those that each example may have."""

    Options: ClassVar[type[Section]] = UniformOptions

    @classmethod
    def build(cls, options: UniformOptions, source: TargetSource) -> Self:
        """The sampler of some options."""
        return cls(source.popularity(0.0), options.number, source.seed, source.backend, source.threads)


def draw_negatives(
    popularity: Popularity,
    known: KnownPositives,
    entities: NDArray[np.int64],
    anchors: NDArray[np.int32],
    keys: UInt64,
    number: int,
    backend: str = "numba",
    threads: int = 1,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Allowed targets by popularity, and the log of each one's chance.

    Args:
        popularity: of the targets.
        known: positives of the entities.
        entities, anchors, keys: ``[batch]``.
        number: draws an example.
        backend, threads: of the redraws.

    Returns:
        Nodes int64 ``[batch, number]``, -1 where no target is allowed; log of the chance of one draw, float32.
    """
    nodes = np.empty((len(entities), number), np.int64)

    weight = allowed_weight(popularity, known, entities, anchors)
    redraw = weight >= popularity.cumulative[-1] // RARE

    def fill(rows: slice) -> None:
        BACKENDS[backend](popularity, known, entities[rows], anchors[rows], keys[rows], redraw[rows], nodes[rows])

    share_rows(len(entities), threads, fill)
    nodes[weight == 0] = -1
    _settle(popularity, known, entities, anchors, keys, nodes)
    # [batch, number]; where there is no node the chance is that of weight 1 in 1
    own = np.where(nodes >= 0, popularity.weight_of(np.maximum(nodes, 0)), np.uint64(1))
    log_share = np.log(own / np.maximum(weight, np.uint64(1))[:, None].astype(np.float64))
    return nodes, log_share.astype(np.float32)


def _settle(
    popularity: Popularity,
    known: KnownPositives,
    entities: NDArray[np.int64],
    anchors: NDArray[np.int32],
    keys: UInt64,
    nodes: NDArray[np.int64],
) -> None:
    """Fill the slots that redraws left, in place: one pass over all targets for each of their anchors."""
    rows = np.flatnonzero((nodes == UNSETTLED).any(axis=1))
    for anchor in np.unique(anchors[rows]):
        allowed = AllowedTargets(popularity, int(anchor))
        for b in rows[anchors[rows] == anchor]:
            left = nodes[b] == UNSETTLED
            bits = draw(slot_keys(keys[b : b + 1], nodes.shape[1])[0], np.uint64(REDRAWS))
            nodes[b, left] = allowed.draw(known, int(entities[b]), bits[left])
