"""Which negatives, and the sampler that draws them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from gnnscale.config import options_section, read_options
from gnnscale.sampling.negatives.hard import Around
from gnnscale.sampling.negatives.known import HOLD
from gnnscale.sampling.negatives.strategy import Negative, TargetSource
from gnnscale.sampling.walks.walk_sampler import WalkSampler
from gnnscale.schema import NEGATIVES, ConfigError, nearest
from gnnscale.store import NodeFeatures


@dataclass(frozen=True)
class NegativeRule:
    """Which targets stand for those that an example did not choose.

    Args:
        strategy: a name of the registry ``NEGATIVES``: ``uniform`` or ``popularity`` for each example apart;
            ``shared``, by popularity, for the whole global batch; ``in_batch`` for the positives of the other examples;
            ``hard`` by walk rank.
        number: negatives an example, or a batch where they are shared; in-batch ones are as many as the examples.
        power: of the popularity (``popularity``, ``shared``).
        ranks: of hard ones: the first taken, from 0, and the first no longer taken.
        around: what hard ones lie around, ``positive`` or ``entity``.
        options: further ones of the strategy, by name.

    Raises:
        ConfigError: an unknown strategy or centre, or a number under 1.
    """

    strategy: str = "popularity"
    number: int = 1024
    power: float = 0.75
    ranks: tuple[int, int] = (20, 50)
    around: Around = "positive"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        NEGATIVES.find(self.strategy)
        if self.around not in get_args(Around):
            close = nearest(self.around, get_args(Around))
            raise ConfigError(f"unknown centre of negatives '{self.around}'.{close}")
        if self.number < 1:
            raise ConfigError(f"number of negatives is {self.number}; at least 1")

    def options_of(self, strategy: type[Negative]) -> Any:
        """Inputs of a strategy that come from the rule.

        Raises:
            ConfigError: an option that it does not have, or a value out of range.
        """
        known = options_section(strategy).model_fields
        given = {own.name: getattr(self, own.name) for own in fields(self) if own.name in known}
        return read_options(NEGATIVES.kind, self.strategy, strategy, given | dict(self.options))


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
    if backend not in HOLD:
        raise ConfigError(f"unknown backend of negatives '{backend}'.{nearest(backend, HOLD)}")
    if threads < 1:
        raise ConfigError(f"threads of negatives is {threads}; at least 1")
    strategy: type[Negative] = NEGATIVES.find(rule.strategy)
    source = TargetSource(counts, features, seed, walker, backend, threads)
    return strategy.build(rule.options_of(strategy), source)
