"""What every strategy of negatives states, and what it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from gnnscale.config import Section
from gnnscale.sampling.negatives.popularity import Popularity
from gnnscale.sampling.negatives.request import NegativeRequest, Negatives
from gnnscale.sampling.walks.walk_sampler import WalkSampler
from gnnscale.store import NodeFeatures


@dataclass(frozen=True)
class TargetSource:
    """The targets that negatives are taken from, and how to take them.

    Args:
        counts: how often each target occurs in the training period, ``[targets]``.
        features: of the targets, which tell what is there at an anchor.
        seed: of the run.
        walker: walks that end in the targets' table, where a strategy needs them.
        backend: ``numba``, or ``numpy`` for the reference.
        threads: that share the examples of a batch.
    """

    counts: NDArray[np.int64]
    features: NodeFeatures
    seed: int = 0
    walker: WalkSampler | None = None
    backend: str = "numba"
    threads: int = 1

    def popularity(self, power: float) -> Popularity:
        """Of the targets, to a power.

        Raises:
            ConfigError: a power under 0.
            SchemaError: counts and features of different numbers of targets.
        """
        return Popularity(self.counts, power, self.features)


class Negative(Protocol):
    """A strategy: a class of the registry :data:`gnnscale.schema.NEGATIVES`.

    Attributes:
        Options: what can be set of it; a field that :class:`NegativeRule` has takes its value from there.
        needs_walks: whether it is made of random walks.
        per_batch: whether all examples of a batch share its negatives, so that they are scored once.

    One that is made of a batch's positives has an attribute ``in_batch``, their share of its negatives.
    """

    Options: ClassVar[type[Section]]
    needs_walks: ClassVar[bool]
    per_batch: ClassVar[bool]

    @classmethod
    def build(cls, options: Any, source: TargetSource) -> Self:
        """The sampler of some options.

        Raises:
            ConfigError: options that don't go with the source.
        """

    def sample(self, request: NegativeRequest) -> Negatives:
        """Negatives of a batch."""
