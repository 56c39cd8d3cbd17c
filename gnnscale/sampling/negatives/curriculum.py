"""Negatives that become harder: a set that a batch shares, and from epoch to epoch one more hard one an example."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field

from gnnscale.config import Section
from gnnscale.sampling.negatives.hard import HardNegatives
from gnnscale.sampling.negatives.popular import PopularOptions
from gnnscale.sampling.negatives.request import NegativeRequest, Negatives
from gnnscale.sampling.negatives.shared import SharedNegatives
from gnnscale.sampling.negatives.strategy import TargetSource
from gnnscale.schema import NEGATIVES, ConfigError

PAPER_BAND = (2000, 5000)
"""Walk ranks of hard negatives in PinSage, of a catalogue of billions."""
SHARES = (100, 40)
"""One in so many of a small catalogue's targets: the same 2 to 5 as the paper's ranks."""


class CurriculumOptions(PopularOptions):
    """Of negatives that become harder.

    Args:
        number: negatives that a batch shares.
        power: of the popularity that they are drawn by; 0 is uniform.
        most_hard: hard ones that an example gets at most.
        band: of hard ones, the first walk rank taken, from 0, and the first no longer taken; default: 1 % and 2.5 % of
            the catalogue, and at most the 2000 and 5000 of PinSage.
    """

    most_hard: Annotated[int, Field(ge=0)] = 6
    band: tuple[int, int] | None = None


def scaled_band(targets: int) -> tuple[int, int]:
    """Walk ranks that hard negatives of a catalogue are taken from: the first, and the first no longer taken."""
    low, high = (max(1, min(most, targets // share)) for most, share in zip(PAPER_BAND, SHARES, strict=True))
    return low, max(high, low + 1)


@NEGATIVES.register("curriculum")
class CurriculumNegatives:
    """Shared negatives, and behind them hard ones of each example: none in the first epoch, then one more in each
    (Ying et al., PinSage, 2018: section 3.3).

    A hard negative is one for its own example alone; all are scored once, as shared ones are.

    Args:
        shared: for the whole global batch.
        hard: of each example, as many as it gets at most.
    """

    Options: ClassVar[type[Section]] = CurriculumOptions
    needs_walks: ClassVar[bool] = True
    per_batch: ClassVar[bool] = True

    def __init__(self, shared: SharedNegatives, hard: HardNegatives) -> None:
        self.shared, self.hard = shared, hard

    @classmethod
    def build(cls, options: CurriculumOptions, source: TargetSource) -> Self:
        """The sampler of some options; walks keep as many nodes as the band reaches.

        Raises:
            ConfigError: there are no walks, or too few steps of them to reach the band, or bounds out of order.
        """
        if source.walker is None:
            raise ConfigError("hard negatives need walks: give a WalkSampler that ends in the targets' table")
        band = options.band or scaled_band(len(source.counts))
        walker = source.walker.keeping(max(band))
        if walker.visits < band[1]:
            raise ConfigError(
                f"hard negatives have walk ranks {band[0]} to {band[1]}, and walks have {walker.visits} visits in all; "
                "raise their number or length"
            )
        hard = HardNegatives(walker, band, options.most_hard, "positive", source.seed, source.backend)
        return cls(SharedNegatives.build(options, source), hard)

    def sample(self, request: NegativeRequest) -> Negatives:
        """Negatives int64 ``[shared + batch * hard]``, -1 where a hard one is not there; present bool ``[batch, ...]``.

        Raises:
            SchemaError: the request has no positives, or a known one is no target.
        """
        shared = self.shared.sample(request)
        each = min(request.epoch, self.hard.number)
        if not each:
            return shared
        found, batch = self.hard.sample(request), len(request)
        nodes, present = found.nodes[:, :each], found.present[:, :each]
        # [batch, batch * hard]: those of an example in its own row.
        own = np.zeros((batch, batch, each), np.bool_)
        own[np.arange(batch), np.arange(batch)] = present
        return Negatives(
            np.concatenate([shared.nodes, nodes.reshape(-1)]),
            np.concatenate([shared.present, own.reshape(batch, -1)], axis=1),
            np.concatenate([shared.log_share, found.log_share[:, :each].reshape(-1)]),
        )
