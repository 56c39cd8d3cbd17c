"""Hard negatives: targets that random walks reach, but not among the first."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import numpy as np

from gnnscale.config import Positive, Section
from gnnscale.sampling.keys import draw, example_keys, stream_key
from gnnscale.sampling.negatives.request import NegativeRequest, Negatives
from gnnscale.sampling.negatives.strategy import TargetSource
from gnnscale.sampling.walks.walk_sampler import WalkSampler
from gnnscale.schema import NEGATIVES, ConfigError, SchemaError

Around = Literal["positive", "entity"]


class HardOptions(Section):
    """Of hard negatives.

    Args:
        number: negatives an example.
        ranks: the first taken, from 0, and the first no longer taken.
        around: what they lie around.
    """

    number: Positive = 1024
    ranks: tuple[int, int] = (20, 50)
    around: Around = "positive"


@NEGATIVES.register("hard")
class HardNegatives:
    """Targets whose walk rank around the positive, or the entity, is between two bounds (PinSage, 2018: section 3.3).

    Near enough to be hard to tell from the positive, not so near as to be positives themselves. In PinSage's
    curriculum epoch n trains with n - 1 of them beside its shared negatives.

    An example gets a uniform subset without replacement of those allowed: a function of (seed, epoch, example) alone.

    Args:
        walker: walks that end in the targets' table.
        ranks: first rank taken, from 0, and the first no longer taken.
        number: negatives an example.
        around: ``positive`` where walks start at targets, ``entity`` where they start at entities.
        seed: of the run.
        backend: of the look-up of known positives, ``numba`` or ``numpy``.

    Raises:
        ConfigError: bounds out of order, fewer nodes kept by the walks than the second bound, or walks around a
            positive that don't start in the targets' table.
    """

    Options: ClassVar[type[Section]] = HardOptions
    needs_walks: ClassVar[bool] = True
    per_batch: ClassVar[bool] = False

    def __init__(
        self,
        walker: WalkSampler,
        ranks: tuple[int, int],
        number: int,
        around: Around = "positive",
        seed: int = 0,
        backend: str = "numba",
    ) -> None:
        low, high = ranks
        if not 0 <= low < high:
            raise ConfigError(f"ranks of hard negatives are {low} to {high}; at least 0, the second above the first")
        if walker.rule.top < high:
            raise ConfigError(f"ranks of hard negatives reach {high}; walks keep the top {walker.rule.top}; raise it")
        if around == "positive" and walker.table != walker.target:
            raise ConfigError(
                f"walks around positives start in '{walker.target}', where they end; these start in '{walker.table}'"
            )
        self.walker, self.ranks, self.number, self.around = walker, ranks, number, around
        self.seed, self.backend = seed, backend
        self._features = walker.store.features(walker.target)

    @classmethod
    def build(cls, options: HardOptions, source: TargetSource) -> Self:
        """The sampler of some options.

        Raises:
            ConfigError: there are no walks, or they don't fit.
        """
        if source.walker is None:
            raise ConfigError("hard negatives need walks: give a WalkSampler that ends in the targets' table")
        return cls(source.walker, options.ranks, options.number, options.around, source.seed, source.backend)

    def sample(self, request: NegativeRequest) -> Negatives:
        """Negatives int64 ``[batch, number]``, each once; -1 where no more are allowed between the bounds.

        Raises:
            SchemaError: walks start at positives and the request has none, or a seed is not a node of their table.
        """
        seeds = request.entities if self.around == "entity" else request.positives
        if seeds is None:
            raise SchemaError("hard negatives lie around positives; the request has none")
        walks = self.walker.sample(seeds, request.anchors, request.epoch, request.identities)
        nodes = walks.nodes[:, slice(*self.ranks)].astype(np.int64)
        valid = self._features.is_valid_at(np.maximum(nodes, 0), request.anchors[:, None])
        allowed = (nodes >= 0) & valid & ~request.known.hold(request.entities, nodes, self.backend)
        # In the order of a hash of each node, those not allowed last: the first are a uniform subset.
        keys = example_keys(stream_key(self.seed, request.epoch, "negatives/hard"), request.identities)
        hashes = draw(keys[:, None], np.maximum(nodes, 0).astype(np.uint64))
        order = np.lexsort((hashes, ~allowed), axis=1)[:, : self.number]
        taken = np.where(np.take_along_axis(allowed, order, 1), np.take_along_axis(nodes, order, 1), -1)
        found = np.full((len(request), self.number), -1, np.int64)
        found[:, : taken.shape[1]] = taken
        log_share = -np.log(np.maximum(allowed.sum(axis=1), 1)).astype(np.float32)
        return Negatives(found, found >= 0, np.where(found >= 0, log_share[:, None], np.float32(0)))
