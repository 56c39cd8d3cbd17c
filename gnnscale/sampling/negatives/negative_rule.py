"""Which negatives, and the sampler that draws them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from gnnscale.sampling.negatives.hard import Around, HardNegatives
from gnnscale.sampling.negatives.in_batch import InBatchNegatives
from gnnscale.sampling.negatives.popular import BACKENDS, PopularNegatives
from gnnscale.sampling.negatives.popularity import Popularity
from gnnscale.sampling.negatives.request import NegativeRequest, Negatives
from gnnscale.sampling.negatives.shared import SharedNegatives
from gnnscale.sampling.walks.walk_sampler import WalkSampler
from gnnscale.schema import ConfigError, nearest
from gnnscale.store import NodeFeatures

NegativeStrategy = Literal["uniform", "popularity", "in_batch", "shared", "hard"]


class Negative(Protocol):
    """What every strategy is."""

    def sample(self, request: NegativeRequest) -> Negatives:
        """Negatives of a batch."""


@dataclass(frozen=True)
class NegativeRule:
    """Which targets stand for those that an example did not choose.

    Args:
        strategy: ``uniform`` or ``popularity`` for each example apart; ``shared``, by popularity, for the whole global
            batch; ``in_batch`` for the positives of the other examples; ``hard`` by walk rank.
        number: negatives an example, or a batch where they are shared; in-batch ones are as many as the examples.
        power: of the popularity (``popularity``, ``shared``).
        ranks: of hard ones: the first taken, from 0, and the first no longer taken.
        around: what hard ones lie around, ``positive`` or ``entity``.

    Raises:
        ConfigError: an unknown strategy or centre, or a number under 1.
    """

    strategy: NegativeStrategy = "popularity"
    number: int = 1024
    power: float = 0.75
    ranks: tuple[int, int] = (20, 50)
    around: Around = "positive"

    def __post_init__(self) -> None:
        for name, value, known in (
            ("strategy", self.strategy, get_args(NegativeStrategy)),
            ("centre", self.around, get_args(Around)),
        ):
            if value not in known:
                raise ConfigError(f"unknown {name} of negatives '{value}'.{nearest(value, known)}")
        if self.number < 1:
            raise ConfigError(f"number of negatives is {self.number}; at least 1")


def build_negatives(
    rule: NegativeRule,
    counts: NDArray[np.int64],
    features: NodeFeatures,
    seed: int = 0,
    walker: WalkSampler | None = None,
    backend: str = "numba",
    threads: int = 1,
) -> Negative:
    """The sampler of a rule.

    Args:
        rule: which negatives.
        counts: how often each target occurs in the training period, ``[targets]``.
        features: of the targets, which tell what is there at an anchor.
        seed: of the run.
        walker: walks that end in the targets' table, for hard negatives.
        backend: ``numba``, or ``numpy`` for the reference.
        threads: that share the examples of a batch.

    Raises:
        ConfigError: an unknown backend, threads under 1, a power under 0, or hard negatives whose walks are missing or
            don't fit.
        SchemaError: counts and features of different numbers of targets.
    """
    if backend not in BACKENDS:
        raise ConfigError(f"unknown backend of negatives '{backend}'.{nearest(backend, BACKENDS)}")
    if threads < 1:
        raise ConfigError(f"threads of negatives is {threads}; at least 1")
    if rule.strategy == "hard":
        if walker is None:
            raise ConfigError("hard negatives need walks: give a WalkSampler that ends in the targets' table")
        return HardNegatives(walker, rule.ranks, rule.number, rule.around, seed, backend)
    power = {"uniform": 0.0, "in_batch": 1.0}.get(rule.strategy, rule.power)
    popularity = Popularity(counts, power, features)
    if rule.strategy == "in_batch":
        return InBatchNegatives(popularity, backend)
    if rule.strategy == "shared":
        return SharedNegatives(popularity, rule.number, seed, backend)
    return PopularNegatives(popularity, rule.number, seed, backend, threads)
