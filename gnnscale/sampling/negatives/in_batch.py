"""In-batch negatives: the positives of the other examples, which the batch encodes in any case."""

from __future__ import annotations

from typing import ClassVar, Self

from gnnscale.config import Section
from gnnscale.sampling.negatives.popularity import Popularity
from gnnscale.sampling.negatives.request import NegativeRequest, Negatives
from gnnscale.sampling.negatives.shared import hold_for
from gnnscale.sampling.negatives.strategy import TargetSource
from gnnscale.schema import NEGATIVES, SchemaError


class InBatchOptions(Section):
    """Of in-batch negatives: there is nothing to choose, for they are as many as the positives."""


@NEGATIVES.register("in_batch")
class InBatchNegatives:
    """All positives of a batch, each a negative for the examples that it is no known positive of.

    They follow from the batch and from no draw: give the positives of the global batch, and all workers get the same.

    Args:
        popularity: of the targets to the power of 1, how often each is among the positives of a batch: its log is the
            sampling-bias correction (Yi et al., 2019: section 3).
        backend: of the look-up of known positives, ``numba`` or ``numpy``.

    Attributes:
        in_batch: share of the negatives that are positives of the batch.
    """

    Options: ClassVar[type[Section]] = InBatchOptions
    needs_walks: ClassVar[bool] = False
    per_batch: ClassVar[bool] = True

    def __init__(self, popularity: Popularity, backend: str = "numba") -> None:
        self.popularity, self.backend, self.in_batch = popularity, backend, 1.0
        self._log_share = popularity.log_share

    @classmethod
    def build(cls, options: InBatchOptions, source: TargetSource) -> Self:
        """The sampler for some targets."""
        return cls(source.popularity(1.0), source.backend)

    def sample(self, request: NegativeRequest) -> Negatives:
        """Negatives int64 ``[positives]``, in their order; present bool ``[batch, positives]``.

        Raises:
            SchemaError: the request has no positives, or a known one is no target.
        """
        nodes = request.positives if request.batch_positives is None else request.batch_positives
        if nodes is None:
            raise SchemaError("in-batch negatives are made of positives; the request has none")
        return Negatives(nodes, hold_for(request, nodes, self.popularity, self.backend), self._log_share[nodes])
